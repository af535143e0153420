"""Verbs, and groups of verbs whose help lists them in sections and in a fixed order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import click

from cachestats.cli.output import Verbosity, log, set_verbosity, verbosity
from cachestats.errors import ArgumentError


class Verb(click.Command):
    """A verb, which refuses an option that is given twice, unless it may be repeated, and may be quiet or verbose.

    Click takes the last of two options without a word.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        taken = {name for option in self.params for name in option.opts}
        for wanted, words in (
            (Verbosity.QUIET, "Print only the answer and errors."),
            (Verbosity.VERBOSE, "Also print the log, and which snapshots and values the question covers."),
        ):
            # A verb may use a letter for something else, as Spack's command of the same name does.
            names = [name for name in (f"-{wanted.value[0]}", f"--{wanted.value}") if name not in taken]
            option = click.Option(names, is_flag=True, expose_value=False, callback=_setting(wanted), help=words)
            self.params.append(option)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a verbose one logs."""
        if verbosity() == Verbosity.VERBOSE:
            log()
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, after a look at how often each option is given."""
        if ctx.resilient_parsing:
            # Completion needs the dataset, but Click reads no argument if the last option lacks its value.
            is_unfinished = args[-1:] and args[-1].startswith("-")
            return super().parse_args(ctx, args[:-1] if is_unfinished else args)
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            if times > 1 and isinstance(option, click.Option) and not (option.multiple or option.is_eager):
                often = "twice" if times == 2 else f"{times} times"
                raise ArgumentError(
                    f"expected {option.opts[-1]} once, found it {often}", hint=f"see {ctx.command_path} --help"
                )
        return super().parse_args(ctx, args)


def _setting(wanted: Verbosity) -> Callable[[click.Context, click.Parameter, bool], None]:
    def set_it(ctx: click.Context, param: click.Parameter, is_given: bool) -> None:
        if is_given:
            set_verbosity(ctx, wanted)

    return set_it


class Verbs(click.Group):
    """A group that lists its verbs in the order in which they were added, in sections where there are any.

    Click sorts verbs by name, which scatters those that belong together.
    """

    command_class = Verb

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sections: dict[str, list[str]] = {}

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a verb, whose name may not be that of another: Click would drop the other without a word."""
        name = name or cmd.name
        if not isinstance(cmd, Verb | Verbs):
            raise TypeError(f"expected a Verb or Verbs as {name} of {self.name}, found {type(cmd).__name__}")
        if name in self.commands:
            raise ValueError(f"expected a new name for a verb of {self.name}, found {name}, which is one already")
        super().add_command(cmd, name)

    def add_section(self, title: str, *verbs: click.Command) -> None:
        """Add verbs under a title."""
        for verb in verbs:
            self.add_command(verb)
        self.sections[title] = [str(verb.name) for verb in verbs]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the verbs in the order in which they were added."""
        return [*self.commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections with the summary of each verb, aligned across sections."""
        width = max(map(len, self.commands))
        limit = formatter.width - formatter.current_indent - width - 4  # indented by two, and two between the columns
        for title, names in (self.sections or {"Commands": self.list_commands(ctx)}).items():
            rows = [(name.ljust(width), self.commands[name].get_short_help_str(limit)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)
