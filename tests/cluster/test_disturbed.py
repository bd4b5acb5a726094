"""Whatever a cluster does to a job, its record ends with the bytes of an undisturbed run."""

from __future__ import annotations

import time

import pytest

from structgrad.repro.evidence import records

ARMS = ("gpu", "other_gpu", "requeued", "cancelled", "handed_back", "walltime", "greedy", "mistaken")
WAITING = tuple(arm for arm in ARMS if arm not in ("greedy", "mistaken"))
PAIR = ("gpu", "other_gpu")  # the arms whose jobs ask for a device
MISTAKE = "there is a mistake in what was asked"


@pytest.fixture(scope="module")
def disturbed(cluster, project):
    """One run in which each arm is disturbed in its own way; it ends with the mistake of the one that makes one."""
    project.mark("mistaken", ["mistaken"])
    project.mark("greedy", ["greedy"])
    project.mark("memory", ["greedy"], "1500")
    project.mark("open", ["greedy"])
    project.mark("minutes", ["handed_back"], "3")
    project.mark("minutes", ["walltime"], "1")
    project.mark("sleepy", ["walltime"])
    project.mark("gpu", ["gpu", "other_gpu"], "1")
    project.reproduce(cluster, "experiments=[walk]")
    for arm in WAITING:
        project.wait(lambda arm=arm: project.told(arm), f"{arm} to come half way")

    cluster.run("scontrol", "requeue", project.job("requeued"))
    cluster.run("scancel", project.job("cancelled"))
    project.pair = [project.job(arm) for arm in PAIR]

    project.wait(lambda: "TIMEOUT" in states(cluster, "walltime"), "the time limit to end")
    (project.folder / "sleepy/walltime").unlink()
    project.mark("open", ["walltime"])

    project.wait(lambda: len(project.told("requeued")) > 1, "the requeued job to come half way again")
    cluster.stop("slurmctld")
    project.mark("open", ["requeued"])
    time.sleep(15)  # some questions of Snakemake
    cluster.start_controller()

    project.wait(lambda: 75 in codes(project, "handed_back"), "the time budget to end")
    project.mark("open", ["handed_back"])

    project.wait(lambda: len(project.told("cancelled")) > 1, "the cancelled job to come half way again")
    down = project.job("cancelled")
    project.wait(lambda: set(unfinished(cluster)) == {down, *project.pair}, "all jobs but three to end")
    cluster.fail_node()
    project.wait(lambda: all(restarts(cluster, job) for job in (down, *project.pair)), "the node's jobs to be queued")
    cluster.return_node()
    project.mark("open", ["cancelled"])

    # An urgent job takes the place of all that run, with a device or without: the two have the node to themselves.
    project.wait(lambda: set(unfinished(cluster)) == set(project.pair), "all jobs but two to end")
    project.wait(lambda: all(len(project.told(arm)) > 1 for arm in PAIR), "the two to come half way again")
    urgent = "--partition=urgent", "--time=1", "--gpus=1", "--wrap=sleep 1", f"--output={project.folder}/urgent.txt"
    cluster.run("sbatch", *urgent)  # there is no device left: one of them must give way
    project.wait(lambda: any(restarts(cluster, job) > 1 for job in project.pair), "a job to be preempted")
    project.mark("open", PAIR)
    project.code = project.end()
    return project


def unfinished(cluster):
    return cluster.run("squeue", "--noheader", "--format=%i").split()


def jobs(cluster, arm, what):
    """That of every Slurm job of an arm, the first one first; the plugin names its rule in a job's comment."""
    lines = cluster.run("squeue", "--noheader", "--states=all", "--sort=i", f"--format=%k {what}").splitlines()
    rule = f"rule_train_walk_{ARMS.index(arm) + 1}"
    return [word for name, word in map(str.split, lines) if name == rule]


def states(cluster, arm):
    return jobs(cluster, arm, "%T")


def restarts(cluster, job):
    words = cluster.run("scontrol", "show", "job", job).split()
    return next(int(word.partition("=")[2]) for word in words if word.startswith("Restarts="))


def begun(project, arm):
    return [line for line in project.outcomes(arm, ARMS) if "host" in line]


def codes(project, arm):
    return [line["code"] for line in project.outcomes(arm, ARMS) if "code" in line]


@pytest.fixture(scope="module")
def undisturbed(disturbed):
    """The records that one process makes, without a cluster."""
    disturbed.mark("open", ARMS)
    for what in ("greedy", "mistaken"):
        (disturbed.folder / what / what).unlink()
    done = disturbed.command("run", *(f"walk/n=1/{arm}/0-1" for arm in ARMS), "--into", "undisturbed")
    assert done.returncode == 0, done.stderr
    return {arm: disturbed.record(arm, "undisturbed") for arm in ARMS}


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "mistaken"])
def test_the_record_has_the_bytes_of_an_undisturbed_run(disturbed, undisturbed, arm):
    assert records.canonical(disturbed.record(arm)) == records.canonical(undisturbed[arm])


@pytest.mark.parametrize("arm", ["requeued", "cancelled"])
def test_a_job_that_is_told_to_stop_saves_its_state_and_ends_with_75(disturbed, arm):
    assert codes(disturbed, arm)[0] == 75
    assert disturbed.record(arm)["run"]["resumed"] >= 1


def test_two_jobs_see_different_devices_and_the_preempted_one_goes_on(disturbed, cluster):
    devices = [disturbed.told(arm)[0].split()[1] for arm in PAIR]
    assert sorted(devices) == ["0", "1"]
    arm = next(arm for arm, job in zip(PAIR, disturbed.pair, strict=True) if restarts(cluster, job) > 1)
    assert codes(disturbed, arm) == [75, 0]  # what it did on the node that failed it could not write down
    assert disturbed.record(arm)["run"]["resumed"] >= 1


def test_a_job_whose_time_ends_hands_back_to_slurm_and_nothing_has_failed(disturbed, cluster):
    *before, last = codes(disturbed, "handed_back")
    assert last == 0
    assert set(before) == {75}  # more than once where the machine is slow to let it go on
    assert len({line["slurm"] for line in begun(disturbed, "handed_back")}) == 1  # the same job, queued again
    assert restarts(cluster, disturbed.job("handed_back")) == len(before)
    assert disturbed.record("handed_back")["run"]["resumed"] == len(before)


def test_a_step_longer_than_the_grace_is_killed_and_the_next_job_has_more_time(disturbed, cluster):
    assert states(cluster, "walltime")[0] == "TIMEOUT"
    assert jobs(cluster, "walltime", "%l")[:2] == ["1:00", "2:00"]
    assert codes(disturbed, "walltime") == [0]


def test_a_job_over_its_memory_gets_more(disturbed, cluster):
    assert states(cluster, "greedy")[-1] == "COMPLETED"
    assert jobs(cluster, "greedy", "%m")[:2] == ["1500M", "2250M"]


def test_the_job_of_a_node_that_failed_is_queued_again(disturbed, cluster):
    """The job is the second of the arm whose first one was cancelled; it could not say how it ended."""
    assert restarts(cluster, disturbed.job("cancelled")) == 1
    assert len(begun(disturbed, "cancelled")) == 3
    assert codes(disturbed, "cancelled") == [75, 0]


def test_a_job_that_ends_while_the_controller_is_away_has_ended(disturbed):
    assert codes(disturbed, "requeued") == [75, 0]


def test_a_mistake_is_final_at_once_and_the_run_ends_with_a_line_that_says_why(disturbed):
    assert disturbed.code == 2
    assert codes(disturbed, "mistaken") == [2]
    failed = [line for line in disturbed.said.splitlines() if line.startswith("failed: ")]
    job = begun(disturbed, "mistaken")[0]["slurm"]
    assert failed == [
        f"failed: walk/n=1/mistaken/0-1: Slurm job {job}: FAILED (NonZeroExitCode), exit code 2; {MISTAKE}; "
        "results/smoke/logs/train/walk/n=1/mistaken.0-1.log"
    ]


def test_the_log_of_an_attempt_before_is_kept(disturbed):
    log = disturbed.folder / f"results/smoke/logs/train/walk_{ARMS.index('cancelled') + 1}.attempts.log"
    lines = log.read_text().splitlines()
    assert lines.count("training walk/n=1/cancelled/0-1") == 3
    assert "structgrad: walk/n=1/cancelled/0-1: told to stop, and its state is saved; run again to go on" in lines
