/** `kiln build SOURCE` */
import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import type { KilnApi, RequestCredentials, RunnableImage } from '../../api/kiln-api.ts';
import { KilnError } from '../../base/error.ts';
import { parseDuration } from '../../base/units.ts';
import { parseBuildRequest, type BuildRequest } from '../../pipeline/build-request.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';
import { addImageFlags, type ImageFlags, readImageFlags } from '../image-flags.ts';
import { followToEnd } from '../follow-build.ts';
import { parseSource, readExtraFiles } from '../parse-source.ts';
import { exitCodeOf, printBuildResult } from '../print-build.ts';

interface BuildFlags extends ImageFlags {
  readonly attr?: string;
  readonly name?: string;
  readonly tag?: string;
  readonly push: string[];
  readonly image: boolean;
  readonly run?: boolean;
  readonly explain?: boolean;
  readonly env: string[];
  readonly file: string[];
  readonly ref?: string;
  readonly subdir?: string;
  readonly submodules?: boolean;
  readonly fullClone?: boolean;
  readonly tokenFile?: string;
  readonly sshKey?: string;
  readonly packages?: 'nixpkgs' | 'basis' | 'auto';
  readonly timeout?: string;
  readonly silence?: string;
  readonly service?: string;
  readonly freshPlan?: boolean;
  readonly logs?: boolean;
  readonly json?: boolean;
}

const collect = (value: string, before: string[]): string[] => [...before, value];

export function defineBuild(program: Command, context: CommandContext): void {
  addImageFlags(program.command('build'))
    .summary('build a source and make an image that is proven to start')
    .description(
      'Builds SOURCE with Nix, makes an image of the result, starts it, and puts it into the registry.',
    )
    .argument(
      '<source>',
      'FILE.nix, a folder, a Git URL[?ref=…&dir=…], a flake reference[#attr], template:NAME, or - for stdin',
    )
    .option('-A, --attr <path>', 'attribute to build')
    .option('--name <name>', "image name; default: kiln.toml's, else the source's")
    .option('--tag <tag>', 'tag to move to the image once it started (default: latest, and the build)')
    .option('--push <reference>', 'push to this registry reference as well (repeatable)', collect, [])
    .option('--no-image', 'build only')
    .option('--run', 'run the image afterwards, until interrupted')
    .option('--explain', 'print the expression that would be built, and why; build nothing')
    .option('-e, --env <NAME=VALUE>', 'environment variable of the image (repeatable)', collect, [])
    .option('--file <NAME=PATH>', 'extra file beside an expression from stdin (repeatable)', collect, [])
    .option('--ref <ref>', 'branch, tag or commit of a Git source')
    .option('--subdir <folder>', 'folder of the source to build')
    .option('--submodules', 'fetch Git submodules')
    .option('--full-clone', 'clone the whole history')
    .option('--token-file <file>', 'file with an access token for Git over HTTPS (or KILN_GIT_TOKEN)')
    .option('--ssh-key <file>', 'private key for Git over SSH')
    .addOption(
      new Option('--packages <set>', 'what <nixpkgs> stands for').choices(['auto', 'nixpkgs', 'basis']),
    )
    .option('--timeout <duration>', 'time limit of the build, at most 60m (default: 30m)')
    .option('--silence <duration>', 'end the build when nothing is printed for so long (default: 10m)')
    .option('--service <id>', 'service that the build belongs to; its newest build supersedes queued ones')
    .option('--fresh-plan', "plan the layers anew instead of keeping the previous release's")
    .option('--logs', 'print every line of the build log')
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      examples([
        ['kiln build .', 'the folder you are in, with or without Nix files'],
        ['kiln build https://github.com/owner/repo?ref=main', 'a repository'],
        ['kiln build . -A web --name team/web --tag v1 --run', 'one attribute; run the image'],
        ["echo 'with import <nixpkgs> {}; hello' | kiln build -", 'an expression'],
        ['kiln build template:node --explain', 'what a template would build'],
      ]),
    )
    .action((source: string, flags: BuildFlags) => runBuild(context, source, flags));
}

async function runBuild(context: CommandContext, source: string, flags: BuildFlags): Promise<void> {
  const request = await readRequest(context, source, flags);
  const credentials = await readCredentials(context, flags);
  const image = await buildOrExplain(context, request, credentials, flags);
  if (image === undefined) return;
  const { runImage } = await import('../run-image.ts');
  await runImage(context, image, {});
}

/** @returns the image to run, when one is to be run; Kiln is closed again by then */
async function buildOrExplain(
  context: CommandContext,
  request: BuildRequest,
  credentials: RequestCredentials,
  flags: BuildFlags,
): Promise<RunnableImage | undefined> {
  await using kiln = await connect(context);
  if (flags.explain === true) {
    await explain(context, kiln, request, credentials, flags);
    return undefined;
  }
  const created = await kiln.createBuild(request, credentials);
  const build = await followToEnd(context, kiln, created, { logs: flags.logs ?? false });
  if (flags.json === true) printJson(context, build);
  else printBuildResult(context, build);
  process.exitCode = exitCodeOf(build);
  if (build.status !== 'success' || flags.run !== true || build.image === undefined) return undefined;
  return await kiln.getRunnable(build.image.reference);
}

async function explain(
  context: CommandContext,
  kiln: KilnApi,
  request: BuildRequest,
  credentials: RequestCredentials,
  flags: BuildFlags,
): Promise<void> {
  const explanation = await kiln.explainBuild(request, credentials);
  if (flags.json === true) return printJson(context, explanation);
  for (const line of [explanation.origin, ...explanation.notes])
    context.err.write(`${context.err.style('dim', `# ${line}`)}\n`);
  context.out.write(`${explanation.expression.trimEnd()}\n`);
}

async function readRequest(
  context: CommandContext,
  source: string,
  flags: BuildFlags,
): Promise<BuildRequest> {
  let spec = await parseSource(source, flags, context.cwd, readStdin);
  if (flags.file.length > 0) {
    if (spec.kind !== 'expression')
      throw new KilnError('usage', '--file goes with an expression from stdin (-)');
    spec = { ...spec, files: await readExtraFiles(flags.file, context.cwd) };
  }
  const environmentVars = Object.fromEntries(flags.env.map(parseVariable));
  const imageSettings = readImageFlags(flags);
  return parseBuildRequest({
    source: spec,
    options: {
      ...(flags.attr === undefined ? {} : { attr: flags.attr }),
      ...(flags.env.length === 0 ? {} : { environmentVars }),
      ...(flags.packages === undefined ? {} : { packages: flags.packages }),
      ...(flags.timeout === undefined
        ? {}
        : { buildTimeout: Math.ceil(parseDuration(flags.timeout) / 1000) }),
      ...(flags.silence === undefined
        ? {}
        : { silenceTimeout: Math.ceil(parseDuration(flags.silence) / 1000) }),
    },
    ...(flags.service === undefined ? {} : { serviceId: flags.service }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.tag === undefined ? {} : { tag: flags.tag }),
    push: flags.push,
    image: flags.image,
    ...(imageSettings === undefined ? {} : { imageSettings }),
    freshPlan: flags.freshPlan ?? false,
  });
}

async function readCredentials(context: CommandContext, flags: BuildFlags): Promise<RequestCredentials> {
  const token =
    flags.tokenFile === undefined
      ? context.env['KILN_GIT_TOKEN']
      : await readSecretFile(flags.tokenFile, 'access token');
  const sshKey = flags.sshKey === undefined ? undefined : await readSecretFile(flags.sshKey, 'SSH key');
  return {
    ...(token === undefined || token === '' ? {} : { accessToken: token.trim() }),
    ...(sshKey === undefined ? {} : { sshKey }),
  };
}

async function readSecretFile(file: string, what: string): Promise<string> {
  return await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KilnError('usage', `the file with the ${what}, ${file}, cannot be read`, { cause });
  });
}

function parseVariable(text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1)
    throw new KilnError('usage', `--env ${text}: no NAME=VALUE`, { hint: 'Write --env PORT=8080.' });
  return [text.slice(0, equals), text.slice(equals + 1)];
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
