/**
 * Runs the conformance suites of the OCI distribution specification against a registry that is started for them:
 * the released v1.1.1 and the rewritten one with every flag on. Needs Go 1.24.
 *
 *   npm run conformance                 the suites come from Go's module proxy, else from a clone that is made for them
 *   npm run conformance -- DIRECTORY    from a clone of opencontainers/distribution-spec, as with KILN_CONFORMANCE_SOURCE
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { startTestRegistry } from '../test/registry-server.ts';

interface Suite {
  readonly name: string;
  /** Revision of the specification, and the pseudo-version of the module at it. */
  readonly revision: string;
  readonly version: string;
  readonly build: readonly string[];
  readonly environment: (host: string, results: string) => Readonly<Record<string, string>>;
  /** The line of the output that says how many passed. */
  readonly summary: RegExp;
}

const REPOSITORY = 'https://github.com/opencontainers/distribution-spec.git';
const MODULE = 'github.com/opencontainers/distribution-spec/conformance';
const APIS =
  'PING PULL PUSH BLOBS_ATOMIC BLOBS_DELETE BLOBS_DIGEST_HEADER BLOBS_MOUNT_ANONYMOUS BLOBS_UPLOAD_CANCEL MANIFESTS_ATOMIC MANIFESTS_DELETE MANIFESTS_DIGEST_HEADER MANIFESTS_TAG_PARAM TAGS_ATOMIC TAGS_DELETE TAGS_LIST REFERRER'.split(
    ' ',
  );
const DATA =
  'IMAGE INDEX INDEX_LIST SPARSE ARTIFACT SUBJECT SUBJECT_MISSING ARTIFACT_LIST SUBJECT_LIST DATA_FIELD NONDISTRIBUTABLE CUSTOM_FIELDS NO_LAYERS EMPTY_BLOB SHA512'.split(
    ' ',
  );

const SUITES: readonly Suite[] = [
  {
    name: 'v1.1.1',
    revision: 'a139cc423184af6078077b9b7ee336eddbd03f8f',
    version: 'v0.0.0-20250123160558-a139cc423184',
    build: ['test', '-c', '-o'],
    environment: (host, results) => ({
      OCI_ROOT_URL: `http://${host}`,
      OCI_NAMESPACE: 'released/one',
      OCI_CROSSMOUNT_NAMESPACE: 'released/two',
      OCI_TEST_PULL: '1',
      OCI_TEST_PUSH: '1',
      OCI_TEST_CONTENT_DISCOVERY: '1',
      OCI_TEST_CONTENT_MANAGEMENT: '1',
      OCI_AUTOMATIC_CROSSMOUNT: '1',
      OCI_REPORT_DIR: results,
    }),
    summary: /\d+ Passed.*\d+ Failed.*/,
  },
  {
    name: 'main',
    revision: '967efdc079b91785ad18c77cc4f8991a47feefbf',
    version: 'v0.0.0-20260716174315-967efdc079b9',
    build: ['build', '-o'],
    environment: (host, results) => ({
      OCI_VERSION: 'dev',
      OCI_REGISTRY: host,
      OCI_TLS: 'disabled',
      OCI_REPO1: 'main/one',
      OCI_REPO2: 'main/two',
      OCI_RESULTS_DIR: results,
      ...Object.fromEntries(
        [...APIS.map((api) => `OCI_API_${api}`), ...DATA.map((data) => `OCI_DATA_${data}`)].map((key) => [
          key,
          'true',
        ]),
      ),
    }),
    summary: /(?:Pass|Skip|FAIL|Error|Total)\.{2,}:\s+\d+/g,
  },
];

const work = mkdtempSync(join(tmpdir(), 'kiln-conformance-'));
try {
  process.exitCode = await runAll(process.argv[2] ?? process.env['KILN_CONFORMANCE_SOURCE']);
} finally {
  spawnSync('chmod', ['-R', 'u+w', work]); // Go's module cache is read-only
  rmSync(work, { recursive: true, force: true });
}

async function runAll(given: string | undefined): Promise<number> {
  if (spawnSync('go', ['version']).status !== 0) {
    process.stderr.write('Go is not installed; the conformance suites are Go programs (1.24 or newer).\n');
    return 3;
  }
  // Every flag includes manifests whose members are missing, which the registry refuses unless it is told to take them.
  await using registry = await startTestRegistry({ sparseManifests: true });
  let failed = 0;
  let checkout = given;
  for (const suite of SUITES) {
    let source = checkout === undefined ? download(suite) : extract(checkout, suite);
    if (source === undefined) {
      checkout = clone();
      if (checkout === undefined) return 3;
      source = extract(checkout, suite);
    }
    const program = join(work, `suite-${suite.name}`);
    go([...suite.build, program, '.'], source);
    const results = join(work, `results-${suite.name}`);
    mkdirSync(results);
    const { status, output } = await run(program, results, suite.environment(registry.host, results));
    const summary = output
      .match(suite.summary)
      ?.map((line) => line.replace(/\.{2,}/, '').replace(/\s+/g, ' '))
      .join(', ');
    process.stdout.write(
      `${suite.name}: ${status === 0 ? 'passed' : 'FAILED'} (${stripColours(summary ?? 'no summary')})\n`,
    );
    if (status !== 0) {
      process.stdout.write(output);
      failed++;
    }
  }
  return failed === 0 ? 0 : 1;
}

function download(suite: Suite): string | undefined {
  const result = spawnSync('go', ['mod', 'download', '-json', `${MODULE}@${suite.version}`], {
    encoding: 'utf8',
    cwd: work,
    env: { ...process.env, GOFLAGS: '-mod=mod', GO111MODULE: 'on' },
  });
  const answer = JSON.parse(result.stdout === '' ? '{}' : result.stdout) as { Dir?: string; Error?: string };
  if (answer.Dir === undefined) {
    process.stderr.write(`${suite.name}: not from the module proxy: ${answer.Error ?? result.stderr}\n`);
    return undefined;
  }
  const copy = join(work, `source-${suite.name}`);
  cpSync(answer.Dir, copy, { recursive: true });
  spawnSync('chmod', ['-R', 'u+w', copy]);
  return copy;
}

/** Both revisions with all their history, which is small. */
function clone(): string | undefined {
  const target = join(work, 'distribution-spec');
  const result = spawnSync('git', ['clone', '--quiet', '--bare', REPOSITORY, target], { encoding: 'utf8' });
  if (result.status === 0) return target;
  process.stderr.write(
    `${REPOSITORY} cannot be cloned: ${result.stderr.trim()}\n` +
      'Give a clone of it: npm run conformance -- DIRECTORY, or KILN_CONFORMANCE_SOURCE=DIRECTORY\n',
  );
  return undefined;
}

function extract(checkout: string, suite: Suite): string {
  const target = join(work, `source-${suite.name}`);
  mkdirSync(target);
  const archive = spawnSync('git', ['-C', checkout, 'archive', suite.revision], { maxBuffer: 2 ** 28 });
  if (archive.status !== 0)
    throw new Error(`${checkout} does not hold ${suite.revision}: ${archive.stderr.toString()}`);
  spawnSync('tar', ['-x', '-C', target], { input: archive.stdout });
  return join(target, 'conformance');
}

function go(args: readonly string[], cwd: string): void {
  const result = spawnSync('go', [...args], { cwd, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`go ${args.join(' ')} failed:\n${result.stderr}`);
}

/** Not synchronous: the registry answers from this process. */
async function run(
  program: string,
  cwd: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ status: number; output: string }> {
  const child = spawn(program, [], {
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number | null];
  return { status: status ?? 1, output };
}

function stripColours(text: string): string {
  return stripVTControlCharacters(text);
}
