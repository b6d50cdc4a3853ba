"""A vendor, read from its folder of data: file names, user agents, models, key words and templates."""

import contextlib
import functools
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from markupsafe import Markup

from button_templates import layout
from button_templates.layout import Button, Face, Key
from provisioning.errors import RenderError
from provisioning.phones.clock import clock
from provisioning.phones.options import Options
from provisioning.phones.own import Own
from provisioning.phones.phone import Expansion, Line, Model, Phone, Site

_MAC = re.compile(r"((?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2})(?P<suffix>[.-].*)")
# What neither a line of text nor XML 1.0 can carry; in a line it would begin another setting.
_NEVER = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
_NOT_IN_XML = re.compile(f"[{_NEVER}]")
_NOT_IN_A_LINE = re.compile(rf"[{_NEVER}\t\n\r]|^\s|\s\Z")
# The name of the parameter whose value begins, or goes on, at the end of a text.
_PARAMETERS = {
    "line": re.compile(r"^[ \t]*([\w.-]+)[ \t]*=[^\n]*\Z", re.MULTILINE),
    "xml": re.compile(r"""([\w.:-]+)=(?:"[^"<>]*|'[^'<>]*)\Z|<([\w.:-]+)(?:\s[^<>]*)?>[^<>]*\Z"""),
}
_FAULT = "\ufffe"  # stands in no file
_AS_IT_IS = re.compile(r"[ !#-%'-;=?-~]*")  # of XML, as most values are
_XML = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)


def shipped_templates() -> Path:
    """The folder of all templates: inside the package once installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def split_mac(name: str) -> tuple[str, str] | None:
    """`80:5E:C0:aa:bb:cc-phone.cfg` as (`805ec0aabbcc`, `-phone.cfg`), or None for a shared file."""
    match = _MAC.fullmatch(name.lower())
    mac = match and re.sub("[:-]", "", match[1])
    # 000000000000 stands for all phones of a vendor.
    return (mac, match["suffix"]) if match and mac and int(mac, 16) else None


@dataclass(frozen=True, slots=True)
class File:
    """A file of the vendor's. `template` is None for one that only the phone itself writes.

    `upload` is `replace` or `append` where the phone may write it, `absorb` where its entries named
    `element` then become part of the rendered file. `where` names the model's fact, and
    `needs` the phone's option, without which the file does not exist. `main` is the one with the settings.
    """

    content_type: str
    template: str | None = None
    upload: str | None = None
    element: str | None = None
    where: str | None = None
    needs: str | None = None
    main: bool = False

    def exists_for(self, phone: Phone) -> bool:
        return self.needs is None or getattr(phone.options, self.needs) is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a User-Agent says of its phone. Anyone can write one: a hint for people, never an identity."""

    vendor: str
    model: str | None
    mac: str | None
    firmware: str | None


class _Encoded(CodeGenerator):
    """`finalize` has encoded a value already: autoescape, which tells macros, has nothing left to do."""

    def _output_child_pre(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> None:
        self.write(f"{finalize.src or ''}(")

    def _output_child_post(
        self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo
    ) -> None:
        self.write("))" if finalize.src is not None else ")")


class _Context(Context):
    def call(self, thing: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Without a search for what wants to be told the context: no function of a template does."""
        kwargs.pop("_loop_vars", None)
        kwargs.pop("_block_vars", None)
        return thing(*args, **kwargs)


class _Environment(jinja2.Environment):
    code_generator_class = _Encoded
    context_class = _Context

    def getattr(self, thing: Any, attribute: str) -> Any:
        """A name of vendor.toml is found without the exception that jinja2 needs for it."""
        try:
            return thing[attribute] if type(thing) is dict else getattr(thing, attribute)
        except (AttributeError, KeyError):
            return super().getattr(thing, attribute)


class Vendor:
    """One vendor's folder. Folders are searched in order, so that an operator's file replaces ours."""

    def __init__(self, name: str, folders: Sequence[Path]) -> None:
        self.name = name
        self._paths = paths = [folder / name for folder in folders]
        data = tomllib.loads(next(p for path in paths if (p := path / "vendor.toml").is_file()).read_text())
        self.title: str = data["title"]
        self.data: Mapping[str, Any] = data
        self.ouis = frozenset(data["ouis"])
        # What a technician does at a phone to give it another URL; an operator's folder may say nothing.
        self.reprovisioning: Sequence[str] = data.get("reprovisioning", ())
        # The events that ask for new settings: `check`, and `reboot` where it is known.
        self.resync: Mapping[str, str] = data.get("resync", {})
        self.files = {suffix: File(**file) for suffix, file in data["files"].items()}
        # By suffix; a vendor of an operator's own may say nothing of it.
        self.boot_order: Sequence[str] = data.get("boot", {}).get("order", ())
        self.boot_settings: Sequence[str] = data.get("boot", {}).get("settings", ())
        # A phone that asks for one of these begins a boot: it has stored the address that it asks at.
        self.begins = frozenset(self.boot_order) or {suffix for suffix, f in self.files.items() if f.main}
        self.shared = [(re.compile(s.pop("pattern")), s.pop("name", None), File(**s)) for s in data["shared"]]
        self.models = {model.name: model for model in map(_model, data["models"])}
        self._user_agent = re.compile(data["user_agent"]["pattern"], re.IGNORECASE)
        # Each phone says the same with each request.
        self.claim = functools.lru_cache(16_384)(self._claim)
        self._parameter = _PARAMETERS[data["encoding"]]
        self.encode = {"line": self._line, "xml": self._xml}[data["encoding"]]
        self._clear = re.compile(data["clear_words"]) if "clear_words" in data else None
        self._templates = _Environment(
            loader=jinja2.FileSystemLoader(paths),
            auto_reload=False,  # made files are kept, and what they were made of is not to change meanwhile
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            finalize=self.encode,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates.globals["vendor"] = data
        self._templates.filters["fill"] = _fill

    @cached_property
    def _tokens(self) -> Mapping[str, str]:
        return {
            token.lower(): model.name for model in self.models.values() for token in model.facts["user_agent"]
        }

    @cached_property
    def edition(self) -> str:
        """Another text whenever a file of the vendor's folder is another."""
        files = sorted(path for folder in self._paths for path in folder.glob("*") if path.is_file())
        return hashlib.sha256(
            b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
        ).hexdigest()

    def file(self, suffix: str, model: Model) -> File | None:
        """The file of a phone of `model` whose name is its MAC and `suffix`."""
        file = self.files.get(suffix)
        return file if file and (file.where is None or model.facts.get(file.where)) else None

    def shared_file(self, name: str) -> File | None:
        """The file of that name that belongs to no one phone."""
        return next((file for pattern, _, file in self.shared if pattern.fullmatch(name)), None)

    def own_files(self, phone: Phone) -> Iterable[tuple[str, File]]:
        """Every rendered file that is the phone's own, by suffix."""
        for suffix in self.files:
            if (file := self.file(suffix, phone.model)) and file.template and file.exists_for(phone):
                yield suffix, file

    def file_names(self, phone: Phone) -> Iterable[tuple[str, File, bool]]:
        """Every rendered file that the phone may ask for, and whether it is the phone's own."""
        model = phone.model
        for suffix, file in self.own_files(phone):
            yield phone.mac + suffix, file, True
        for _, name, file in self.shared:
            if file.template and name and (file.where is None or model.facts.get(file.where)):
                yield name.format_map(model.facts), file, False

    def unstaged(self, model: Model, firmware: str | None = None) -> str | None:
        """Why a staged rotation, or a URL of its own, is not offered to a phone of `model`, None where it is.
        `firmware` is what the phone itself last said."""
        if "unstaged" not in self.data:
            return "nobody has said yet how this vendor's phones take another provisioning URL"
        for rule in self.data["unstaged"]:
            if "firmware_below" in rule:
                applies = firmware is not None and int(firmware.split(".")[0]) < rule["firmware_below"]
            elif "first_below" in rule:
                applies = model.facts[rule["fact"]][0] < rule["first_below"]
            else:
                applies = model.facts.get(rule["fact"]) == rule["is"]
            if applies:
                return str(rule["why"])
        return None

    def shares_next_url(self, name: str) -> bool:
        """Whether a file that phones share may name the next URL: it is known which models ask for it, and
        staging is offered to all of them."""
        return name in self._told_files

    @cached_property
    def _told_files(self) -> frozenset[str]:
        owners: dict[str, set[bool]] = {}
        for _, name, file in self.shared:
            for model in self.models.values():
                if name and (file.where is None or model.facts.get(file.where)):
                    offered = self.unstaged(model) is None
                    owners.setdefault(name.format_map(model.facts).lower(), set()).add(offered)
        return frozenset(name for name, offered in owners.items() if offered == {True})

    def face(self, model: Model, expansion: str | None = None) -> Face:
        """What `model` can hold; `expansion` names the type of its modules, by default its first."""
        buttons = self.data["buttons"]
        module = next((e for e in model.expansions if expansion in (None, e.name)), None)
        face = Face(
            model=model.name,
            keys=model.line_keys,
            refused={n: b["refused"] for n, b in buttons.items() if "refused" in b}
            | model.facts.get("refused", {}),
            needs={name: b["needs"] for name, b in buttons.items() if "needs" in b},
            most={name: b["most"] for name, b in buttons.items() if "most" in b},
        )
        if module is None:
            return face
        return replace(
            face,
            module_name=module.name,
            module_keys=module.keys,
            modules=module.modules,
            reserved=module.reserved,
        )

    def phone(
        self,
        *,
        mac: str,
        model: Model,
        expansion: str | None = None,
        lines: Sequence[Line],
        template: Sequence[Button] = (),
        overrides: Sequence[Button] = (),
        extension_length: int,
        options: Options,
        zone: str,
        today: date,
        admin_password: str,
        url: str,
        staged_url: str | None = None,
        contacts: Sequence[Mapping[str, str]] = (),
    ) -> Phone:
        """The phone that these settings make: which keys it can hold, and what its clock can be told.

        `today` decides nothing but the offset of a zone whose changes the vendor's form cannot say. A model
        to which staging is not offered is not told `staged_url`.
        """
        face = self.face(model, expansion)
        keys = layout.fit(face, template, overrides, lines=len(lines), options=vars(options))
        savings = self.data["clock"].get("savings")
        told = clock(zone, today, savings=frozenset(savings) if savings else None)
        refused = tuple(key for key in keys if not key.supported)
        warnings = [f"{_name(key)}: {key.reason}" for key in refused]
        warnings += [
            f"{_name(key)}: {model.name} orders its keys itself, there it is key {number}"
            for key, number in self.moved(model, keys)
        ]
        return Phone(
            mac=mac,
            model=model,
            face=face,
            lines=tuple(lines),
            slots=layout.fill(face, keys, modules=face.modules),
            refused=refused,
            modules=max((key.module for key in keys if key.supported), default=0),
            extension_length=extension_length,
            options=options,
            clock=told,
            admin_password=admin_password,
            url=url,
            staged_url=None if self.unstaged(model) else staged_url,
            contacts=tuple(contacts),
            warnings=(*warnings, *([told.warning] if told.warning else [])),
        )

    def moved(self, model: Model, keys: Iterable[Key]) -> list[tuple[Key, int]]:
        """Where a model orders its keys itself: those that stand elsewhere than in the layout, and where."""
        if not model.facts.get("own_order"):
            return []
        rank = {type: n for n, types in enumerate(self.data["own_order"]) for type in types}
        shown = [key for key in keys if key.supported and key.type != "none"]
        shown.sort(key=lambda key: (rank[key.type], key.number))
        return [(key, number) for number, key in enumerate(shown, start=1) if key.number != number]

    def _claim(self, user_agent: str) -> Claim | None:
        """What this User-Agent says, or None when it is not of this vendor's form."""
        match = self._user_agent.fullmatch(user_agent.strip())
        if match is None:
            return None
        said = match.groupdict()
        mac = re.sub("[^0-9a-f]", "", (said.get("mac") or said.get("serial") or "").lower())
        return Claim(
            vendor=self.name,
            model=self._tokens.get(said["model"].lower()),
            mac=mac if len(mac) == 12 else None,
            # The boot loader's version is not the phone's firmware.
            firmware=None if (said.get("stage") or "").lower() == "updater" else said["fw"],
        )

    def load_templates(self) -> None:
        """Now, and not when the first phone asks. A faulty one is left to the phone whose file it makes."""
        for name in self._templates.list_templates(extensions=("j2",)):
            with contextlib.suppress(jinja2.TemplateError):
                self._templates.get_template(name)

    def render(self, file: File, thing: Phone | Site) -> bytes:
        """The file's bytes, a function of `thing` alone. Raises `RenderError`, which tells no value."""
        assert file.template
        try:
            template = self._templates.get_template(file.template)
            text = template.render(phone=thing) if isinstance(thing, Phone) else template.render(site=thing)
        except (RenderError, jinja2.UndefinedError) as error:
            where = ": ".join([f"{self.name}/{file.template}", *self._at_fault(file, thing)])
            # An operator's template may have looked something up by a secret, which then is what is missing.
            told = type(error).__name__ if any(secret in str(error) for secret in thing.secrets) else error
            raise RenderError(f"{where}: {told}") from None
        except jinja2.TemplateSyntaxError as error:
            where = f"{self.name}/{error.name}, line {error.lineno}"
            raise RenderError(f"{where}: {error.message}") from None
        except Exception as error:
            raise RenderError(f"{self.name}/{file.template}: {type(error).__name__}") from None
        return text.encode()

    def _at_fault(self, file: File, thing: Phone | Site) -> list[str]:
        """The name of the first parameter at fault, where it can be told: what stands before its value when
        the file is made once more, with a mark in the place of each value that it cannot carry."""
        try:
            template = self._marking.get_template(file.template or "")
            text = template.render(phone=thing) if isinstance(thing, Phone) else template.render(site=thing)
        except Exception:
            return []
        before, fault, _ = text.partition(_FAULT)
        found = self._parameter.search(before) if fault else None
        return [name for name in found.groups() if name] if found else []

    @cached_property
    def _marking(self) -> jinja2.Environment:
        def mark(value: object) -> str:
            try:
                return self.encode(value)
            except (RenderError, jinja2.UndefinedError):
                return _FAULT

        return self._templates.overlay(finalize=mark)

    def _line(self, value: object) -> str:
        """A value of a `key = value` line, where nothing can be quoted or escaped."""
        if type(value) is int or isinstance(value, Markup):
            return str(value)
        text = value if type(value) is str else _text(value)
        plain = text.isascii() and text.isprintable() and text[:1] != " " and text[-1:] != " "
        if not plain and _NOT_IN_A_LINE.search(text):
            raise RenderError("a value holds a character that the file cannot carry")
        if self._clear and self._clear.search(text):
            raise RenderError("a value is a word that makes the phone clear a setting")
        return text

    def _xml(self, value: object) -> str:
        """A value of an XML attribute or element."""
        if type(value) is int or isinstance(value, Markup):
            return str(value)
        text = value if type(value) is str else _text(value)
        if _AS_IT_IS.fullmatch(text):
            return text
        if _NOT_IN_XML.search(text):
            raise RenderError("a value holds a character that the file cannot carry")
        return text.translate(_XML)


@cache
def load_vendors(operator_folder: Path | None = None) -> dict[str, Vendor]:
    """All vendors by name; a folder of the operator's is searched before the shipped one. Read once."""
    folders = [folder for folder in (operator_folder, shipped_templates() / "phones") if folder]
    names = sorted({path.parent.name for folder in folders for path in folder.glob("*/vendor.toml")})
    return {name: Vendor(name, folders) for name in names}


def claimed(vendors: Mapping[str, Vendor], user_agent: str) -> Claim | None:
    """What a User-Agent says, of whichever vendor's form it is."""
    return next((claim for vendor in vendors.values() if (claim := vendor.claim(user_agent))), None)


def absorbed(element: str, content: bytes) -> tuple[Mapping[str, str], ...]:
    """The entries named `element` of an uploaded XML file, each as names and texts; broken XML has none."""
    try:
        text = content.decode()
        # A phone declares no entities; whoever does wants the parser to work for him.
        root = ElementTree.fromstring("" if "<!" in text.replace("<!--", "") else text)  # noqa: S314
    except (ElementTree.ParseError, ValueError):
        return ()
    return tuple(
        {child.tag: _NOT_IN_XML.sub("", child.text or "").strip() for child in entry}
        for entry in root.iter(element)
    )


def _name(key: Key) -> str:
    return f"key {key.module}/{key.position} ({key.type})"


class _Names(dict[str, Any]):
    """The names that a pattern of vendor.toml may use: a key's target, then the phone's options."""

    def __init__(self, key: Key, phone: Phone) -> None:
        super().__init__({name: "" if value is None else value for name, value in key.target.items()})
        self._options = phone.options

    def __missing__(self, name: str) -> object:
        # A target that may have a number and has none is as empty as an option that is not set.
        value = getattr(self._options, name, None)
        return "" if value is None else value


def _fill(pattern: str, key: Key, phone: Phone) -> str:
    return pattern.format_map(_Names(key, phone))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int):
        return value if isinstance(value, str) else str(value)
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises and names what is missing
    if isinstance(value, Own):
        return value.printed
    raise RenderError(f"a value is {'not set' if value is None else 'of no kind that a file can hold'}")


def _model(data: Mapping[str, Any]) -> Model:
    return Model(
        name=data["name"],
        family=data["family"],
        line_keys=data["line_keys"],
        lines=data["lines"],
        expansions=tuple(
            Expansion(e["name"], e["keys"], e["modules"], frozenset(e.get("reserved", ())), e.get("pages", 1))
            for e in data.get("expansions", ())
        ),
        facts=data,
    )
