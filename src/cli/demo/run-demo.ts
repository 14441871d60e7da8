/** `kiln demo`: source → build → image → registry → running page, twice, with what the second time could reuse. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OciDigest } from '../../base/brand.ts';
import { KilnError } from '../../base/error.ts';
import { formatBytes, formatDuration } from '../../base/units.ts';
import { openKiln, type Kiln } from '../../app/open-kiln.ts';
import { serve, type RunningServer } from '../../app/serve.ts';
import { parseRepositoryName } from '../../oci/reference.ts';
import { parseBuildRequest } from '../../pipeline/build-request.ts';
import type { BuildView } from '../../pipeline/build-view.ts';
import type { CommandContext } from '../command-context.ts';
import { followToEnd } from '../follow-build.ts';
import { printFailure } from '../print-error.ts';
import { makeDemoRepository, type DemoRepository } from './demo-repository.ts';
import { printSummary, type Round } from './print-summary.ts';
import { pull, runPulled } from './pull-and-run.ts';

export interface DemoOptions {
  readonly keep: boolean;
}

const CHANGED = 'One line changed. Everything else was reused.';

/** @throws KilnError whatever a build, pull or start can */
export async function runDemo(context: CommandContext, options: DemoOptions): Promise<void> {
  const began = performance.now();
  const parent = await mkdtemp(join(tmpdir(), 'kiln-demo-'));
  try {
    await using kiln = await openKiln({
      env: context.env,
      signal: context.signal,
      onNotice: (line) => context.err.write(`  ${context.err.style('dim', line)}\n`),
    });
    const demo = new Demo(context, kiln, parent);
    const rounds = await demo.run();
    printSummary(context, rounds, performance.now() - began);
    if (options.keep) context.out.write(`\nkept: ${parent}\n`);
  } finally {
    if (!options.keep) await rm(parent, { recursive: true, force: true });
  }
}

class Demo {
  readonly #context: CommandContext;
  readonly #kiln: Kiln;
  readonly #parent: string;
  readonly #layout: string;

  constructor(context: CommandContext, kiln: Kiln, parent: string) {
    this.#context = context;
    this.#kiln = kiln;
    this.#parent = parent;
    this.#layout = join(parent, 'pulled');
  }

  async run(): Promise<readonly [Round, Round]> {
    const { signal } = this.#context;
    this.#heading('Setting up: what this machine lacks is installed for Kiln alone');
    await this.#kiln.nix();
    await this.#kiln.runtime();
    await using server = await serve(this.#kiln, { listen: '127.0.0.1:0', local: true });
    await using repository = await makeDemoRepository(this.#parent, signal);
    this.#say(`Kiln with its registry: ${server.url}`);

    this.#heading('1  An application in a Git repository, served over HTTP');
    const files = (await readdir(repository.directory)).filter((name) => name !== '.git');
    this.#say(`${repository.url}  ${repository.commit.slice(0, 10)}  ${files.join(' ')}`);
    const first = await this.#round(server, repository, 'first');

    this.#heading('4  One line changes');
    const commit = await repository.changeMessage(CHANGED);
    this.#say(`message.js: "${CHANGED}"  ${commit.slice(0, 10)}`);
    const second = await this.#round(server, repository, 'second');
    if (!second.line.includes(CHANGED)) {
      throw new KilnError(
        'image-does-not-start',
        `the second image shows "${second.line}" instead of the changed line`,
      );
    }
    return [first, second];
  }

  async #round(server: RunningServer, repository: DemoRepository, which: 'first' | 'second'): Promise<Round> {
    this.#heading(which === 'first' ? '2  Build it by its address' : '5  Build it again');
    const build = await this.#build(server, repository);
    const { image } = build;
    if (image === undefined) throw new KilnError('image-failed', 'the build made no image');
    const digest = image.digest as OciDigest;

    this.#heading(
      which === 'first' ? '3  Pull it back by digest, run it, ask it' : '6  Pull, run and ask again',
    );
    const pullBegan = performance.now();
    const host = server.url.replace('http://', '');
    const pulled = await pull(
      host,
      parseRepositoryName('demo/web-node'),
      digest,
      this.#layout,
      this.#context.signal,
    );
    const pullMs = performance.now() - pullBegan;
    this.#say(
      `pulled ${digest.slice(0, 19)}: ${formatBytes(pulled.bytesReceived)} of ${formatBytes(image.size)} travelled, every digest checked, in ${formatDuration(pullMs)}`,
    );
    const runBegan = performance.now();
    const page = await runPulled(this.#parent, {
      layout: this.#layout,
      digest,
      runtime: await this.#kiln.runtime(),
      env: [`KILN_COMMIT=${build.source.commit ?? ''}`],
      signal: this.#context.signal,
    });
    const runMs = performance.now() - runBegan;
    const line = readHeading(page.body);
    this.#say(
      `GET / → HTTP ${page.status}, ${page.body.length} bytes, ${formatDuration(page.answeredAfterMs)} after its start: "${line}"`,
    );
    if (page.status !== 200)
      throw new KilnError('image-does-not-start', `the page answered HTTP ${page.status}`);
    return {
      build,
      pullMs,
      pulledBytes: pulled.bytesReceived,
      runMs,
      answeredAfterMs: page.answeredAfterMs,
      line,
    };
  }

  async #build(server: RunningServer, repository: DemoRepository): Promise<BuildView> {
    const request = parseBuildRequest({
      source: { kind: 'git', url: repository.url, ref: 'main' },
      serviceId: 'demo',
      name: 'demo/web-node',
    });
    const created = await server.api.createBuild(request);
    const build = await followToEnd(this.#context, server.api, created, { logs: false });
    if (build.status === 'success') return build;
    if (build.reason !== undefined) printFailure(this.#context.err, build.reason);
    throw new KilnError(
      build.reason?.code === undefined || build.reason.code === 'bug' ? 'build-failed' : build.reason.code,
      'the demo stops here: its build failed',
      {
        hint: `The whole log: kiln logs ${build.id}`,
      },
    );
  }

  #heading(text: string): void {
    const { err } = this.#context;
    err.write(`\n${err.style('bold', text)}\n`);
  }

  #say(text: string): void {
    this.#context.err.write(`  ${text}\n`);
  }
}

/** The line of the page that changes. */
function readHeading(html: string): string {
  const text = /<h1[^>]*>([\s\S]*?)<\/h1>/.exec(html)?.[1] ?? '';
  return text
    .replace(/<[^>]*>/g, '')
    .replaceAll('&#39;', "'")
    .trim();
}
