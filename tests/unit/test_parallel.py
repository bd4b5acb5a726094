"""Blocks on a thread pool: in order, each once, errors and all, whatever the number of threads."""

import multiprocessing
import threading

import pytest
import torch

from structgrad.errors import UserError
from structgrad.parallel import map_blocks, set_threads
from structgrad.polytopes.matching import Matching

PATIENCE = 300  # seconds until a thread that others wait for counts as never run, also on a busy machine


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 64])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_blocks_cover_everything_once_in_order(threads, count, size):
    set_threads(threads)
    blocks = map_blocks(lambda block: block, count, size)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(count))
    assert all(0 < block.stop - block.start <= size for block in blocks)


def test_results_keep_their_order_when_later_blocks_finish_first():
    set_threads(2)
    second_is_done = threading.Event()

    def work(block):
        if block.start == 0:
            assert second_is_done.wait(PATIENCE)
        else:
            second_is_done.set()
        return block.start

    assert map_blocks(work, 2, 1) == [0, 1]


def test_work_is_shared_by_threads():
    set_threads(2)
    both = threading.Barrier(2, timeout=PATIENCE)  # breaks unless two blocks run at once
    names = map_blocks(lambda _: (both.wait(), threading.current_thread().name)[1], 2, 100)
    assert len(set(names)) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_reach_the_caller_and_the_pool_lives_on(threads):
    set_threads(threads)

    def work(block):
        if block.start == 3:
            raise ValueError("block three")
        return block.start

    with pytest.raises(ValueError, match="block three"):
        map_blocks(work, 6, 1)
    assert map_blocks(lambda block: block.start, 4, 1) == [0, 1, 2, 3]


def test_one_thread_or_two_give_the_same_numbers():
    x = torch.randn(50, 30, 30, generator=torch.Generator().manual_seed(0))

    def work(block):
        return torch.logsumexp(x[block] @ x[block].mT, -1)

    found = []
    for threads in (1, 2, 1):
        set_threads(threads)
        found.append(torch.cat(map_blocks(work, len(x), 7)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_torch_keeps_to_one_thread_everywhere():
    set_threads(2)
    both = threading.Barrier(2, timeout=PATIENCE)

    def work(_):
        both.wait()
        return torch.get_num_threads()

    assert map_blocks(work, 2, 1) == [1, 1]
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads_is_the_users_mistake_and_changes_nothing(threads):
    set_threads(2)
    with pytest.raises(UserError, match=f"threads must be at least 1, not {threads}"):
        set_threads(threads)
    both = threading.Barrier(2, timeout=PATIENCE)
    assert map_blocks(lambda block: both.wait() in (0, 1), 2, 1) == [True, True]


def test_work_that_splits_its_own_work_does_not_wait_for_itself():
    """Solvers share their rows among threads, and are called from blocks that are shared already."""
    set_threads(2)
    found = map_blocks(lambda outer: map_blocks(lambda inner: (outer.start, inner.start), 4, 1), 4, 1)
    assert found == [[(i, j) for j in range(4)] for i in range(4)]


@pytest.mark.parametrize("shape", [(9, 6, 6), (5, 3, 6, 6), (4, 2, 3, 6, 6)])
def test_matchings_are_the_same_on_one_thread_and_two(shape):
    theta = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(3)).double()  # full of ties
    alone = Matching(6).argmax(theta)
    set_threads(2)
    assert Matching(6).argmax(theta).equal(alone)


def test_another_number_of_threads_while_others_work():
    """What has begun goes on with the pool that it began with; what begins later has the new one."""
    set_threads(2)
    begun, go_on = threading.Barrier(3, timeout=PATIENCE), threading.Event()
    found = []

    def wait(block):
        if block.start < 2:
            begun.wait()
            assert go_on.wait(PATIENCE)
        return block.start

    elsewhere = threading.Thread(target=lambda: found.extend(map_blocks(wait, 6, 1)))
    elsewhere.start()
    begun.wait()
    for threads in (3, 1, 2):
        set_threads(threads)
        assert map_blocks(lambda block: block.start, 4, 1) == [0, 1, 2, 3]
    go_on.set()
    elsewhere.join(PATIENCE)
    assert found == list(range(6))


SCORES = torch.randn(8, 5, 5, generator=torch.Generator().manual_seed(1))


def solve(_):
    """Works with the pool in whichever process it is."""
    return Matching(5).columns(SCORES).tolist()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_made_after_the_pool(method):
    set_threads(2)
    expected = solve(None)  # the parent has its pool, whose threads a fork does not take along
    context = multiprocessing.get_context(method)
    with context.Pool(1, initializer=set_threads, initargs=(2,)) as processes:
        assert processes.map_async(solve, [0, 1]).get(PATIENCE) == [expected, expected]
    assert solve(None) == expected


class Solved(torch.utils.data.Dataset):
    """A data set that solves while it loads."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return Matching(5).columns(SCORES[index:])[0]


def test_a_forked_worker_of_a_data_loader():
    set_threads(2)
    expected = Matching(5).columns(SCORES)
    loader = torch.utils.data.DataLoader(Solved(), num_workers=1, multiprocessing_context="fork", timeout=PATIENCE)
    assert torch.cat(list(loader)).equal(expected[:4])
