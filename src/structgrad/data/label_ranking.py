"""The 21 label-ranking sets of Cheng, Huehn & Huellermeier (2009): berthet Tables 1 and 2.

Fifteen lie in the repository of Korba et al. (2018), with CRLF line ends; the six others in one that appends a column a
label. Digests are of the content in canonical form (:func:`structgrad.data.ranking_format.canonical`), so a copy with
LF line ends, or without those columns, is as good. The copy of fried has 40768 rows, one less than published.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from structgrad.data.ranking_format import FormatError, LabelRanking, canonical, parse
from structgrad.data.stand_in import stand_in
from structgrad.data.store import DataFile, fetch
from structgrad.errors import unknown

__all__ = ["FILES", "SETS", "LabelRanking", "load", "stand_in"]

RAW = "https://raw.githubusercontent.com"
KORBA = (f"{RAW}/akorba/Structured_Approach_Label_Ranking/7519eeb703eff641e223af49450afa831f291325/data",)
KRINIAS = (  # no copy could be looked at: the second commit is one whose notebooks read this folder
    f"{RAW}/gkrinias/label_ranking/e7e6759ddc23b2484f337fda6a7b2717d086f43e/LR_DATASETS",
    f"{RAW}/gkrinias/label_ranking/893c1943fc420aa5317707b7569bcc96d0cc4757/LR_DATASETS",
)


class RankingSet(NamedTuple):
    """A set's size, the folders it can be downloaded from, and the sha256 of its canonical content."""

    rows: int
    features: int
    labels: int
    folders: tuple[str, ...]
    sha256: str


SETS: Mapping[str, RankingSet] = {
    "authorship": RankingSet(841, 70, 4, KORBA, "e7a7b54f3d7647b6c8adcc9e40eb45d9819000ec591a5797882e776a982dcd44"),
    "bodyfat": RankingSet(252, 7, 7, KORBA, "88b3d97764c48474ad418419ce55a3a559ef1354a47492b182e33cddb027c6f0"),
    "calhousing": RankingSet(20640, 4, 4, KORBA, "f2e396889a5a2ef53bb24bf71aa712e75999a33244ce2d9e1cba69ce7c75b806"),
    "cold": RankingSet(2465, 24, 4, KRINIAS, "f9615f83b31def4e63e3d44c4c91a1ddd05c4d98ea42d4165f543f67cbc1b8d5"),
    "cpu-small": RankingSet(8192, 6, 5, KORBA, "0aed83d773fb2a7a19e6ead9555928a164a767ff708547268199a952c0e92174"),
    "diau": RankingSet(2465, 24, 7, KRINIAS, "849196f3ea483d0a3475df0612e2bde61052fc33a94ceb70bfbecbba5e4a84c4"),
    "dtt": RankingSet(2465, 24, 4, KRINIAS, "60dd99a31f424cab8d65a68c0c9b0c6c3b545b080fc80feef35b5eeeeffc2cb3"),
    "elevators": RankingSet(16599, 9, 9, KRINIAS, "6317af57460af9c5241e4b7c52d7b450af3f9e303688c1c99c42a4f37bbb0378"),
    "fried": RankingSet(40768, 9, 5, KORBA, "7d560c7dd435602919dc6abdee3dc52069fbf11fcf6e074cdc81d799603b4eac"),
    "glass": RankingSet(214, 9, 6, KORBA, "ae70aa9d5f7de0ec4e83a9703278bc51685cff194bd06ef37abb324a7c738719"),
    "heat": RankingSet(2465, 24, 6, KRINIAS, "cc7465ce025a6fc04daef08faf84cde7c68ebaaf7a94838002141a65ccfc167a"),
    "housing": RankingSet(506, 6, 6, KORBA, "f958560282acb7b0bb3d54f6bf462fb3271728b8c4699a823b2771275efd7ff1"),
    "iris": RankingSet(150, 4, 3, KORBA, "7fd6143d62f32e3abe31e75f03a634e493685382aa7cb044dc80b887d28ed2ac"),
    "pendigits": RankingSet(10992, 16, 10, KORBA, "c6b5028e83e24ca08b6acee6152b45a5279019700cd04f01726e630704ace537"),
    "segment": RankingSet(2310, 18, 7, KORBA, "2091cae1db964e34111223c3d20148c6e42b340478cfd758d0183882f2d1cf62"),
    "spo": RankingSet(2465, 24, 11, KRINIAS, "ce5c25a9f25e0e3293e6310e95f50361ecf9a740e3ca9618713e54a3c50a6e4f"),
    "stock": RankingSet(950, 5, 5, KORBA, "adb338e387437fdcae66c393d9bb92a0c353a9f7f7076ad961aa8ef1c39df314"),
    "vehicle": RankingSet(846, 18, 4, KORBA, "3373f7ca219a586d6d2a742e2d72dbac9288fe39b7ea0093a459392f36b9d017"),
    "vowel": RankingSet(528, 10, 11, KORBA, "a3c92e1cd93a5210ac40b2b79a69bd4bfafded6a2373f711ba5ea5607a4ff7e8"),
    "wine": RankingSet(178, 13, 3, KORBA, "b051371cee2729255194d93e773c9067380e30a4e2e835ad1d641097e5846e99"),
    "wisconsin": RankingSet(194, 16, 16, KORBA, "707cef898e71a3185be3d897ea7579dd61be69d2e3d2d48c3cc44abc4ad4dcdf"),
}

FILES: Mapping[str, DataFile] = {
    name: DataFile(
        f"label_ranking/{name}.txt", kind.sha256, tuple(f"{folder}/{name}.txt" for folder in kind.folders), canonical
    )
    for name, kind in SETS.items()
}


def load(name: str) -> LabelRanking:
    """The set of that name, from this machine or downloaded.

    Raises:
        UserError: there is no such set.
        MissingDataError: it is not on this machine and cannot be downloaded.
        CorruptDataError: it is on this machine with another content.
        FormatError: its content is not in the format, or has another size than published.
    """
    if name not in SETS:
        raise unknown("label-ranking set", name, SETS)
    found = fetch(FILES[name])
    return _checked(parse(found.content, str(found.path)), SETS[name], found.path)


def _checked(data: LabelRanking, kind: RankingSet, path: Path) -> LabelRanking:
    found = (*data.features.shape, data.ranks.shape[1])
    if found != kind[:3]:
        raise FormatError(f"{path}: rows, features and labels are {found} instead of {kind[:3]}")
    return data
