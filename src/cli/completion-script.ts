/** Completion scripts for bash, zsh and fish, written from the command definitions. */
import type { Command, Option } from 'commander';

export type Shell = 'bash' | 'zsh' | 'fish';

interface Choice {
  readonly word: string;
  readonly summary: string;
}

interface OptionEntry {
  readonly long: string;
  readonly short?: string;
  readonly description: string;
  readonly takesValue: boolean;
  /** What its value may be; empty: anything. */
  readonly values: readonly string[];
}

interface Entry {
  /** Words after `kiln`, e.g. `cache gc`; empty for `kiln` itself. */
  readonly words: string;
  /** Subcommands, or the values that the command's argument may have. */
  readonly choices: readonly Choice[];
  readonly options: readonly OptionEntry[];
  /** Whether a file may stand here. */
  readonly files: boolean;
}

/** To be sourced by the shell; for zsh also as the file `_kiln` in a folder of `fpath`. */
export function completionScript(program: Command, shell: Shell): string {
  const entries = collect(program, '');
  switch (shell) {
    case 'bash':
      return bash(entries);
    case 'zsh':
      return zsh(entries);
    case 'fish':
      return fish(entries);
  }
}

function collect(command: Command, words: string): Entry[] {
  const help = { long: '--help', description: 'display help for command', takesValue: false, values: [] };
  const options = [...command.options.map(optionEntry).filter((option) => option.long !== ''), help];
  const values = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []);
  const entry: Entry = {
    words,
    choices: [
      ...command.commands.map((child) => ({
        word: child.name(),
        summary: child.summary() || child.description(),
      })),
      ...values.map((word) => ({ word, summary: '' })),
    ],
    options,
    files:
      command.registeredArguments.some((argument) => argument.argChoices === undefined) ||
      options.some((option) => option.takesValue && option.values.length === 0),
  };
  return [entry, ...command.commands.flatMap((child) => collect(child, `${words} ${child.name()}`.trim()))];
}

function optionEntry(option: Option): OptionEntry {
  return {
    long: option.long ?? '',
    ...(option.short === undefined ? {} : { short: option.short }),
    description: option.description,
    takesValue: option.required || option.optional,
    values: option.argChoices ?? [],
  };
}

/** Options are offered where the word begins with `-`, so that commands and files do not drown in them. */
function bash(entries: readonly Entry[]): string {
  const cases = entries.map(
    (entry) =>
      `    ${quote(entry.words)}) choices=${quote(entry.choices.map(({ word }) => word).join(' '))}\n` +
      `      options=${quote(entry.options.map(({ long }) => long).join(' '))}\n` +
      `      files=${entry.files ? 1 : ''} ;;`,
  );
  return `_kiln() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  local words='' word choices='' options='' files=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case ${quote(commandWords(entries))} in *" $words\${words:+ }$word|"*) words="$words\${words:+ }$word" ;; esac
  done
  case "$words" in
${cases.join('\n')}
  esac
  case "$words $prev" in
${valueCases(entries, (values) => `choices=${quote(values.join(' '))} options='' files=''`)}
  esac
  case "$cur" in -*) choices=$options files='' ;; esac
  COMPREPLY=($(compgen -W "$choices" -- "$cur"))
  if [ -n "$files" ]; then
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$cur"))
    compopt -o filenames 2>/dev/null
  fi
}
complete -F _kiln kiln
`;
}

function zsh(entries: readonly Entry[]): string {
  const described = (choices: readonly Choice[]): string =>
    choices
      .map(({ word, summary }) => quote(`${word}${summary === '' ? '' : `:${oneLine(summary)}`}`))
      .join(' ');
  const cases = entries.map(
    (entry) =>
      `    ${quote(entry.words)}) choices=(${described(entry.choices)})\n` +
      `      options=(${described(entry.options.map(({ long, description }) => ({ word: long, summary: description })))})\n` +
      `      files=${entry.files ? 1 : ''} ;;`,
  );
  return `#compdef kiln
_kiln() {
  local seen='' word files=''
  local -a choices options
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case ${quote(commandWords(entries))} in *" $seen\${seen:+ }$word|"*) seen="$seen\${seen:+ }$word" ;; esac
  done
  case "$seen" in
${cases.join('\n')}
  esac
  case "$seen $words[CURRENT-1]" in
${valueCases(entries, (values) => `choices=(${values.map(quote).join(' ')}) options=() files=''`)}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options
    return
  fi
  (( $#choices )) && _describe command choices
  [[ -n $files ]] && _files
}
if [[ $funcstack[1] == _kiln ]]; then _kiln "$@"; else compdef _kiln kiln; fi
`;
}

function fish(entries: readonly Entry[]): string {
  const lines = entries.flatMap((entry) => {
    const at = `complete -c kiln -n ${fishQuote(`__kiln_at ${fishQuote(entry.words)}`)}`;
    return [
      ...entry.choices.map(
        ({ word, summary }) => `${at} -a ${fishQuote(word)} -d ${fishQuote(oneLine(summary))}`,
      ),
      ...(entry.files ? [`${at} -F`] : []),
      ...entry.options.map((option) => {
        const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
        const value =
          option.values.length > 0
            ? ` -x -a ${fishQuote(option.values.join(' '))}`
            : option.takesValue
              ? ' -r'
              : '';
        return `${at} -l ${option.long.slice(2)}${short}${value} -d ${fishQuote(oneLine(option.description))}`;
      }),
    ];
  });
  const known = entries.filter(({ words }) => words !== '').map(({ words }) => fishQuote(words));
  return `function __kiln_at
  set -l seen
  for word in (commandline -opc)[2..-1]
    contains -- (string join ' ' -- $seen $word) ${known.join(' ')}; and set -a seen $word
  end
  test "$seen" = "$argv[1]"
end
complete -c kiln -f
${lines.join('\n')}
`;
}

/** Each sequence of command words with a bar behind it, so that a prefix does not match. */
function commandWords(entries: readonly Entry[]): string {
  return entries.map(({ words }) => (words === '' ? ' ' : `${words}| `)).join('');
}

/** Shell cases for the options whose value is one of a few. */
function valueCases(entries: readonly Entry[], assign: (values: readonly string[]) => string): string {
  return entries
    .flatMap(({ words, options }) =>
      options
        .filter(({ values }) => values.length > 0)
        .map(({ long, values }) => `    ${quote(`${words} ${long}`)}) ${assign(values)} ;;`),
    )
    .join('\n');
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
