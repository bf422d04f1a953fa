"""CVAT for images 1.1: a tag of an image is a vote, by its label or by one of its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from polypskd.cohort.exports.markup import read_tags
from polypskd.cohort.exports.sheet import Person, Sheet
from polypskd.config import CvatVotes
from polypskd.errors import CohortError

SHAPES = {"box", "polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton"}
MACHINE = {"auto", "consensus"}  # a model, and what was merged of several votes


@dataclass
class _Mark:
    """A tag or shape of an image, while it is read."""

    kind: str
    label: str
    source: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class _Reading:
    """What has been read so far."""

    form: CvatVotes
    sheet: Sheet
    image: str | None = None
    mark: _Mark | None = None
    attribute: str = ""
    users: set[str] = field(default_factory=set)
    marks: list[tuple[str, _Mark]] = field(default_factory=list)
    images: int = 0
    bare: bool = True

    def open(self, tags: tuple[str, ...], attributes: Mapping[str, str], line: int) -> None:
        place = f"line {line}"
        match tags:
            case (root,) if root != "annotations":
                todo = "export it as CVAT for images 1.1"
                self.sheet.blame(place, "the first tag is not annotations but", root, todo)
                raise CohortError(self.sheet.faults)
            case ("annotations", "image"):
                self.image = self.sheet.word(attributes.get("name", ""), place, "an image's name")
                self.images += 1
                self.bare = True
            case ("annotations", "track"):
                self.sheet.leave("track", "it goes through many frames; export for images")
            case ("annotations", "image", kind):
                self.bare = False
                label, source = attributes.get("label", ""), attributes.get("source", "manual")
                self.mark = _Mark(kind, label.strip(), source, line)
            case ("annotations", "image", _, "attribute"):
                self.attribute = attributes.get("name", "")

    def close(self, tags: tuple[str, ...], text: str) -> None:
        match tags:
            case ("annotations", "version") if text != "1.1":
                self.sheet.blame("", "is of version", text, "export it as CVAT for images 1.1")
            case ("annotations", "meta", "task" | "job", "assignee", "username"):
                self.users.add(text)
            case ("annotations", "meta", "task" | "job", "assignee") if text:
                self.users.add(text)
            case ("annotations", "image", _, "attribute") if self.mark is not None:
                self.mark.attributes[self.attribute] = text
            case ("annotations", "image", _) if self.mark is not None:
                if self.image is not None:
                    self._take(self.image, self.mark)
                self.mark = None
            case ("annotations", "image"):
                if self.bare:
                    self.sheet.leave("image", "nobody has annotated it")
                self.image = None

    def _take(self, image: str, mark: _Mark) -> None:
        place = f"line {mark.line}"
        if mark.kind != "tag" and mark.kind not in SHAPES:
            self.sheet.leave(mark.kind[:40], "it is no tag")
            return
        if mark.source in MACHINE:
            self.sheet.leave(f"{mark.kind} with source {mark.source}", "no person made it")
            return
        person = self._find_person(mark, place)
        if person is None:
            return
        if mark.kind != "tag":
            self.sheet.add_region(mark.kind, image, person, self._find_vote(mark) or "", place)
            return
        if self.form.label is not None and mark.label != self.form.label:
            self.sheet.leave(
                f"tag with label {mark.label[:40]}", "cohort.votes.label names another"
            )
            return
        vote = self._find_vote(mark)
        if vote is None:
            why = f"it has no attribute {self.form.attribute}"
            self.sheet.leave(f"tag with label {mark.label[:40]}", why)
            return
        word = self.sheet.word(vote, place, "a tag's label")
        if word is not None:
            self.sheet.add(image, person, word, place)

    def _find_vote(self, mark: _Mark) -> str | None:
        if self.form.attribute is None:
            return mark.label
        return mark.attributes.get(self.form.attribute) or None

    def _find_person(self, mark: _Mark, place: str) -> Person | None:
        if self.sheet.person is not None:
            return self.sheet.person
        if self.form.annotator is not None:
            name = mark.attributes.get(self.form.annotator, "")
            word = self.sheet.word(name, place, f"attribute {self.form.annotator}")
            return None if word is None else Person(word)
        # The list of jobs stands before the images, so that all who were assigned are known.
        return Person(next(iter(self.users), ""))


def read_cvat(path: Path, form: CvatVotes, sheet: Sheet) -> None:
    """Read the votes of one file into a sheet.

    Args:
        path: the XML.
        form: the config's section.
        sheet: takes the votes.

    Raises:
        CohortError: the file cannot be read as such an export.
    """
    reading = _Reading(form, sheet)
    read_tags(path, sheet.file, reading.open, reading.close)
    if len(reading.users) > 1 and sheet.person is None and form.annotator is None:
        todo = "export each job by itself and give cohort.votes.path as {annotator: file}"
        sheet.blame("", f"{len(reading.users)} people were assigned; who voted what?", todo=todo)
