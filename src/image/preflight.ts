/** Looks at an image before it is run and names what will not work (field notes, images §6). */
import type { RunConfig } from '../oci/image-config.ts';
import { LAYER_CAP } from '../oci/layer-plan.ts';
import type { LiteralEntry } from '../oci/layer-recipe.ts';
import type { Closure } from '../store/closure.ts';
import { storePathOfFile } from '../store/store-path.ts';
import { checkProgram } from './check-program.ts';
import type { Finding, FindingCode } from './finding.ts';
import { ImageTree } from './image-tree.ts';
import { imagePlatform } from './image-platform.ts';

export interface PreflightInput {
  readonly closure: Closure;
  readonly rootEntries: readonly LiteralEntry[];
  readonly config: RunConfig;
  /** Nix system. */
  readonly system: string;
  /** Layers with those of the base image. */
  readonly layerCount: number;
  /** Files outside the store may come from a base image, whose layers are not looked into. */
  readonly onBase: boolean;
  readonly physicalRoot: string;
}

/** Programs of the outputs that are looked at besides the entry point. */
const MAX_PROGRAMS = 200;

/** Errors first. An empty list means that nothing is known to be wrong. */
export function preflight(input: PreflightInput): Finding[] {
  const tree = new ImageTree(input.closure, input.rootEntries, input.physicalRoot);
  const findings = [
    ...checkEntryPoint(input, tree),
    ...checkOtherPrograms(input, tree),
    ...checkReferences(input),
    ...checkPlace(input, tree),
  ];
  return findings.sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
}

function checkEntryPoint(input: PreflightInput, tree: ImageTree): Finding[] {
  const [program] = input.config.Entrypoint ?? input.config.Cmd ?? [];
  if (program === undefined) {
    return [
      error('entry-point-missing', 'The image names no program to run', 'Set image.entrypoint in kiln.toml.'),
    ];
  }
  if (input.onBase && storePathOfFile(program) === undefined) return [];
  return checkProgram(programContext(input, tree), program, 'error');
}

/** What is broken besides the entry point may never be called, so it does not stop the image. */
function checkOtherPrograms(input: PreflightInput, tree: ImageTree): Finding[] {
  const entryPoint = input.config.Entrypoint?.[0];
  const findings: Finding[] = [];
  for (const root of input.closure.roots) {
    for (const name of tree.list(`${root}/bin`).slice(0, MAX_PROGRAMS)) {
      const program = `${root}/bin/${name}`;
      if (program === entryPoint || tree.find(program)?.executable !== true) continue;
      findings.push(...checkProgram(programContext(input, tree), program, 'warning'));
    }
  }
  return findings;
}

function programContext(input: PreflightInput, tree: ImageTree): Parameters<typeof checkProgram>[0] {
  const { machine, architecture } = imagePlatform(input.system);
  const variable = (name: string): string[] =>
    (input.config.Env ?? [])
      .find((line) => line.startsWith(`${name}=`))
      ?.slice(name.length + 1)
      .split(':') ?? [];
  return {
    tree,
    machine,
    architecture,
    path: variable('PATH'),
    libraryPath: variable('LD_LIBRARY_PATH').filter(Boolean),
    onBase: input.onBase,
  };
}

/** Store paths that arguments and variables name must be in the image: Nix cannot know that they are used. */
function checkReferences(input: PreflightInput): Finding[] {
  const { Entrypoint = [], Cmd = [], Env = [] } = input.config;
  const known = new Set<string>(input.closure.paths.map((info) => info.path));
  const named = new Set(
    [...Entrypoint, ...Cmd, ...Env].flatMap(
      (text) => text.match(/\/nix\/store\/[0-9a-z]{32}-[\w+\-.?=]+/g) ?? [],
    ),
  );
  return [...named]
    .filter((path) => !known.has(path))
    .map((path) =>
      error(
        'dangling-reference',
        `${path} is named in the settings but is not in the image`,
        'Let the build refer to it, e.g. by wrapping the program (makeWrapper).',
        path,
      ),
    );
}

function checkPlace(input: PreflightInput, tree: ImageTree): Finding[] {
  const findings: Finding[] = [];
  const { User: user = '', WorkingDir: folder = '/' } = input.config;
  if (!/^\d+(:\d+)?$/.test(user)) {
    findings.push(
      error(
        'user-not-numeric',
        `The user "${user}" is not a number`,
        'Write image.user as "uid:gid", e.g. "1000:1000".',
      ),
    );
  }
  if (!input.onBase && tree.find(folder)?.kind !== 'directory') {
    findings.push(
      error(
        'working-directory-missing',
        `The working directory ${folder} does not exist in the image`,
        'Add it to image.writable, or choose a folder of the build.',
        folder,
      ),
    );
  }
  if (input.layerCount > LAYER_CAP) {
    const message = `The image has ${input.layerCount} layers; runtimes take no more than about ${LAYER_CAP}`;
    findings.push(error('too-many-layers', message, 'Use a base image with fewer layers.'));
  }
  if (!input.onBase && needsCertificates(input, tree)) {
    findings.push({
      severity: 'warning',
      code: 'certificates-missing',
      message: 'The image has a TLS library but no CA certificates: connections to other servers will fail',
      hint: 'Add cacert to the build, or turn on the certificates of the host.',
    });
  }
  return findings;
}

function needsCertificates(input: PreflightInput, tree: ImageTree): boolean {
  if (tree.find('/etc/ssl/certs/ca-bundle.crt') !== undefined) return false;
  const libraries = ['lib/libssl.so', 'lib/libssl.so.3', 'lib/libssl.so.1.1', 'lib/libgnutls.so.30'];
  return input.closure.paths.some((info) =>
    libraries.some((library) => tree.find(`${info.path}/${library}`) !== undefined),
  );
}

function error(code: FindingCode, message: string, hint: string, path?: string): Finding {
  return { severity: 'error', code, message, hint, ...(path === undefined ? {} : { path }) };
}
