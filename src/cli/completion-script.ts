/** Completion scripts for bash, zsh and fish, written from the command definitions. */
import type { Command } from 'commander';

interface Entry {
  /** Words after `kiln`, e.g. `cache gc`. */
  readonly words: string;
  readonly subcommands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly { readonly long: string; readonly description: string }[];
}

export function completionScript(program: Command, shell: 'bash' | 'zsh' | 'fish'): string {
  const entries = collect(program, '');
  switch (shell) {
    case 'bash':
      return bash(entries);
    case 'zsh':
      return `#compdef kiln\nautoload -U +X bashcompinit && bashcompinit\n${bash(entries)}`;
    case 'fish':
      return fish(entries);
  }
}

function collect(command: Command, words: string): Entry[] {
  const entry: Entry = {
    words,
    subcommands: command.commands.map((child) => ({
      name: child.name(),
      summary: child.summary() || child.description(),
    })),
    options: [
      ...command.options.map((option) => ({ long: option.long ?? '', description: option.description })),
      { long: '--help', description: 'display help' },
    ].filter((option) => option.long !== ''),
  };
  return [entry, ...command.commands.flatMap((child) => collect(child, `${words} ${child.name()}`.trim()))];
}

function bash(entries: readonly Entry[]): string {
  const cases = entries.map((entry) => {
    const choices = [
      ...entry.subcommands.map((child) => child.name),
      ...entry.options.map((option) => option.long),
    ];
    return `    '${entry.words}') choices='${choices.join(' ')}' ;;`;
  });
  return `_kiln() {
  local words='' word choices=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case " ${commandWords(entries)} " in *" $words\${words:+ }$word|"*) words="$words\${words:+ }$word" ;; esac ;; esac
  done
  case "$words" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$choices" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ -n "$words" ] && COMPREPLY+=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _kiln kiln
`;
}

/** Each sequence of command words with a bar behind it, so that a prefix does not match. */
function commandWords(entries: readonly Entry[]): string {
  return entries
    .filter((entry) => entry.words !== '')
    .map((entry) => `${entry.words}|`)
    .join(' ');
}

function fish(entries: readonly Entry[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return `${entries
    .flatMap((entry) => {
      const words = entry.words === '' ? [] : entry.words.split(' ');
      const condition =
        words.length === 0
          ? '__fish_use_subcommand'
          : words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
      return [
        ...entry.subcommands.map(
          (child) => `complete -c kiln -n ${quote(condition)} -a ${child.name} -d ${quote(child.summary)}`,
        ),
        ...entry.options.map(
          (option) =>
            `complete -c kiln -n ${quote(condition)} -l ${option.long.slice(2)} -d ${quote(option.description)}`,
        ),
      ];
    })
    .join('\n')}\n`;
}
