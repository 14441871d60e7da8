/** The command table. Each command stands in a file of its own and loads what it needs when it runs. */
import { Command, Help, type Option } from 'commander';
import type { CommandContext } from './command-context.ts';
import { defineBasis } from './commands/basis.ts';
import { defineBuild } from './commands/build.ts';
import { defineBuilds } from './commands/builds.ts';
import { defineCache } from './commands/cache.ts';
import { defineCancel } from './commands/cancel.ts';
import { defineCompletion } from './commands/completion.ts';
import { defineDemo } from './commands/demo.ts';
import { defineDoctor } from './commands/doctor.ts';
import { defineImage } from './commands/image.ts';
import { defineImages } from './commands/images.ts';
import { defineLogs } from './commands/logs.ts';
import { definePush } from './commands/push.ts';
import { defineRetry } from './commands/retry.ts';
import { defineRun } from './commands/run.ts';
import { defineServe } from './commands/serve.ts';
import { defineShow } from './commands/show.ts';
import { defineToken } from './commands/token.ts';
import { defineTemplates } from './commands/templates.ts';

export type Define = (program: Command, context: CommandContext) => void;

/** In the order in which `kiln --help` shows them. */
const DEFINITIONS: readonly Define[] = [
  defineDemo,
  defineBuild,
  defineBuilds,
  defineShow,
  defineLogs,
  defineCancel,
  defineRetry,
  defineImages,
  defineImage,
  defineRun,
  definePush,
  defineServe,
  defineToken,
  defineCache,
  defineTemplates,
  defineBasis,
  defineDoctor,
  defineCompletion,
];

export function createProgram(context: CommandContext): Command {
  const program = new Command('kiln')
    .description('From a Nix expression, a Git repository, a flake or a template to a running, proven image.')
    .version('0.1.0')
    .helpCommand(false)
    .showSuggestionAfterError()
    .showHelpAfterError('\nRun with --help for the options.')
    .exitOverride()
    .configureHelp({ optionDescription: describeOption })
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
    })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 the work failed, 2 wrong usage, 3 something needed cannot be reached or started, 70 a bug.',
    );
  for (const define of DEFINITIONS) define(program, context);
  for (const command of program.commands) inherit(command, program);
  return program;
}

function inherit(command: Command, program: Command): void {
  command
    .copyInheritedSettings(program)
    .showHelpAfterError('\nRun with --help for the options.')
    .helpCommand(false);
  for (const child of command.commands) inherit(child, program);
}

/** An empty list, the default of options that may be repeated, says nothing. */
function describeOption(option: Option): string {
  return new Help().optionDescription(option).replace(' (default: [])', '');
}
