/** The reference of the command line, from the command definitions. */
import { type Command, Help, type Option } from 'commander';
import { createProgram } from '../../src/cli/create-program.ts';
import { silentContext } from './silent-context.ts';

/** As Markdown. */
export function renderCliReference(): string {
  const program = createProgram(silentContext());
  const commands = program.commands.flatMap((command) =>
    command.commands.length === 0 ? [command] : command.commands,
  );
  return [
    '# The command line',
    '',
    'Generated from the command definitions by `node scripts/generate-docs.ts`; do not edit. In a checkout the program is `bin/kiln`.',
    '',
    '| Command | |',
    '|---|---|',
    ...commands.map((command) => {
      const words = wordsOf(command);
      return `| [\`${words}\`](#${words.replaceAll(' ', '-')}) | ${cell(command.summary() || command.description())} |`;
    }),
    '',
    '`--json` prints one JSON document on standard output; progress and errors go to standard error. With `KILN_URL` set, commands',
    'talk to that server (with `KILN_TOKEN`, if it asks for one), otherwise they do the work in their own process.',
    '',
    helpAfter(program).trim(),
    '',
    ...commands.flatMap(section),
  ].join('\n');
}

function section(command: Command): string[] {
  const help = new Help();
  const options = help.visibleOptions(command).filter((option) => option.long !== '--help');
  const after = helpAfter(command).trim();
  const examples = /^Examples:\n([^]*)$/.exec(after)?.[1];
  return [
    `## ${wordsOf(command)}`,
    '',
    `\`${help.commandUsage(command)}\``,
    '',
    command.description(),
    '',
    ...rows(
      ['Argument', ''],
      command.registeredArguments.map((argument) => [
        `\`${argument.name()}${argument.variadic ? '…' : ''}\``,
        help.argumentDescription(argument),
      ]),
    ),
    ...rows(
      ['Option', ''],
      options.map((option) => [`\`${option.flags}\``, describe(command, option)]),
    ),
    ...(examples === undefined ? [after, ''] : ['```', ...undent(examples), '```', '']).filter(
      (line, index, all) => !(line === '' && all[index - 1] === ''),
    ),
  ];
}

function rows(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  if (body.length === 0) return [];
  return [head, head.map(() => '---'), ...body].map((row) => `| ${row.map(cell).join(' | ')} |`).concat('');
}

function describe(command: Command, option: Option): string {
  return command.createHelp().optionDescription(option);
}

/** What was added below the options: commander gives it out only with the whole help. */
function helpAfter(command: Command): string {
  let text = '';
  command.configureOutput({ ...command.configureOutput(), writeOut: (part) => (text += part) });
  command.outputHelp();
  return text.slice(command.helpInformation().length);
}

function wordsOf(command: Command): string {
  return command.parent === null ? command.name() : `${wordsOf(command.parent)} ${command.name()}`;
}

function undent(text: string): string[] {
  return text.split('\n').map((line) => line.replace(/^ {2}/, ''));
}

function cell(text: string): string {
  return text
    .replaceAll('|', '\\|')
    .replaceAll('<', '&lt;')
    .replace(/\s+/g, ' ')
    .replaceAll(/`([^`]*)`/g, (code) => code.replaceAll('&lt;', '<'));
}
