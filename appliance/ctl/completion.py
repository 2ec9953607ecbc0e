"""Completion for bash and zsh, made of the tree of commands: words, options, choices, files.

Pure. Static: no key press asks the appliance. tools/make_manual.py writes the files.
"""

from __future__ import annotations

import shlex

from appliance.ctl.command_tree import Command, Value

FILES = "@files"
"""Stands for the names of files among what may come next."""


def render_bash(program: Command) -> str:
    """Return the completion file for bash."""
    cases = "".join(_bash_case(words, node) for words, node in program.nodes())
    return _BASH.replace("@CASES@\n", cases).replace("@PROGRAM@", program.name)


def render_zsh(program: Command) -> str:
    """Return the completion file for zsh, to be installed as `_PROGRAM`."""
    cases = "".join(_zsh_case(words, node) for words, node in program.nodes())
    return _ZSH.replace("@CASES@\n", cases).replace("@PROGRAM@", program.name)


def _next_words(value: Value) -> str:
    return FILES if value.is_file else " ".join(value.choices)


def _values(node: Command) -> str:
    """Return `--option=choices` for each option that takes a value, one a line."""
    return "\n".join(
        f"{name}={_next_words(option.value)}"
        for option in node.options
        if option.value is not None
        for name in option.names
    )


def _words(node: Command) -> str:
    choices = [_next_words(argument.value) for argument in node.arguments]
    return " ".join(filter(None, choices))


def _options(node: Command) -> str:
    return " ".join(name for option in node.options for name in option.names)


def _path(words: tuple[str, ...]) -> str:
    return shlex.quote(" ".join(words)) if words else "''"


def _bash_case(words: tuple[str, ...], node: Command) -> str:
    commands = " ".join(command.name for command in node.commands)
    return (
        f"    {_path(words)})\n"
        f"        commands={shlex.quote(commands)}\n"
        f"        options={shlex.quote(_options(node))}\n"
        f"        values={_quoted_lines(_values(node))}\n"
        f"        words={shlex.quote(_words(node))} ;;\n"
    )


def _zsh_case(words: tuple[str, ...], node: Command) -> str:
    commands = " ".join(_described(one.name, one.about) for one in node.commands)
    options = " ".join(
        _described(name, option.about) for option in node.options for name in option.names
    )
    return (
        f"    {_path(words)})\n"
        f"        commands=({commands})\n"
        f"        options=({options})\n"
        f"        values={_quoted_lines(_values(node))}\n"
        f"        words_here={shlex.quote(_words(node))} ;;\n"
    )


def _described(name: str, about: str) -> str:
    """Return `name:about` as _describe takes it."""
    text = name.replace(":", r"\:")
    return shlex.quote(f"{text}:{about}" if about else text)


def _quoted_lines(text: str) -> str:
    return "''" if not text else "$'" + text.replace("\n", "\\n") + "'"


_BASH = r"""# bash completion for @PROGRAM@; made from its command line
_scalelite_appliance_node() {
    commands= options= values= words=
    case $1 in
@CASES@
    *) return 1 ;;
    esac
}

_scalelite_appliance_value() { # an option -> what may follow it; fails if it takes no value
    local line
    while IFS= read -r line; do
        if [[ $line == "$1="* ]]; then
            printf '%s' "${line#*=}"
            return 0
        fi
    done <<<"$values"
    return 1
}

_scalelite_appliance_offer() { # the words that may stand here, and the start of one
    local all=$1 start=$2
    if [[ " $all " == *" @files "* ]]; then
        compopt -o filenames 2>/dev/null || :
        mapfile -t COMPREPLY < <(compgen -f -- "$start")
        all=${all//@files/}
    fi
    local found
    mapfile -t found < <(compgen -W "$all" -- "$start")
    COMPREPLY+=("${found[@]}")
}

_scalelite_appliance() {
    local commands options values words path= here=() word before= after_dashes= index offer
    local cur=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    # bash cuts words at "=": --mode=ke is three of them.
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        [[ $word == = ]] || here+=("$word")
    done
    [[ $cur == = ]] && cur=
    _scalelite_appliance_node ''
    for word in "${here[@]}"; do
        if [[ -n $before ]]; then
            before=
        elif [[ -n $after_dashes ]]; then
            :
        elif [[ $word == -- ]]; then
            after_dashes=1
        elif [[ $word == -* ]]; then
            _scalelite_appliance_value "$word" >/dev/null && before=$word
        elif [[ " $commands " == *" $word "* ]]; then
            path=${path:+$path }$word
            _scalelite_appliance_node "$path"
        fi
    done
    if [[ -n $before ]]; then
        offer=$(_scalelite_appliance_value "$before")
        _scalelite_appliance_offer "$offer" "$cur"
    elif [[ $cur == -* && -z $after_dashes ]]; then
        _scalelite_appliance_offer "$options" "$cur"
    else
        _scalelite_appliance_offer "$commands $words" "$cur"
    fi
}

complete -F _scalelite_appliance @PROGRAM@
"""

_ZSH = r"""#compdef @PROGRAM@
# zsh completion for @PROGRAM@; made from its command line
_scalelite_appliance_node() {
    commands=() options=() values= words_here=
    case $1 in
@CASES@
    *) return 1 ;;
    esac
}

_scalelite_appliance_offer() {
    local -a found=(${(s: :)1})
    if (( ${found[(Ie)@files]} )); then
        _files && return
        found=(${found:#@files})
    fi
    (( $#found )) && compadd -- $found
}

_@PROGRAM@() {
    local values words_here node= word before= after_dashes= line
    local -a commands options
    local -A takes
    _scalelite_appliance_node ''
    for word in ${words[2,CURRENT-1]}; do
        takes=()
        for line in ${(f)values}; do takes[${line%%=*}]="=${line#*=}"; done
        if [[ -n $before ]]; then
            before=
        elif [[ -n $after_dashes ]]; then
            :
        elif [[ $word == -- ]]; then
            after_dashes=1
        elif [[ $word == -* ]]; then
            [[ -n ${takes[$word]} ]] && before=$word
        elif (( ${commands[(I)$word(|:*)]} )); then
            node=${node:+$node }$word
            _scalelite_appliance_node "$node"
        fi
    done
    takes=()
    for line in ${(f)values}; do takes[${line%%=*}]="=${line#*=}"; done
    if [[ -n $before ]]; then
        _scalelite_appliance_offer "${takes[$before]#=}"
    elif [[ $words[CURRENT] == --*=* && -z $after_dashes ]]; then
        before=${words[CURRENT]%%=*}
        compset -P '*='
        _scalelite_appliance_offer "${takes[$before]#=}"
    elif [[ $words[CURRENT] == -* && -z $after_dashes ]]; then
        _describe -o option options
    elif (( $#commands )); then
        _describe command commands
    else
        _scalelite_appliance_offer "$words_here"
    fi
}

# Autoloaded, the whole file is the function at its first call; sourced, it is to be registered.
if [[ $funcstack[1] == _@PROGRAM@ ]]; then
    _@PROGRAM@ "$@"
else
    compdef _@PROGRAM@ @PROGRAM@
fi
"""
