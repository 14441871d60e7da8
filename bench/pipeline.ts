/**
 * What Kiln adds to Nix: the time of a whole build (source to published, started image) minus the time of plain `nix build` of a
 * derivation of the same cost, taken in turn in one run. `node bench/pipeline.ts [rounds]`; Nix on PATH, or the one Kiln installed.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKiln } from '../src/app/open-kiln.ts';
import { serve } from '../src/app/serve.ts';
import type { KilnApi } from '../src/api/kiln-api.ts';
import { basisPath } from '../src/basis/basis-path.ts';
import { nixEnvironment } from '../src/nix/nix-installation.ts';
import { parseBuildRequest } from '../src/pipeline/build-request.ts';
import type { BuildView } from '../src/pipeline/build-view.ts';
import { runChecked } from '../src/process/run-process.ts';

const ROUNDS = Number(process.argv[2] ?? 7);

/** A web server on Node whose text, and so its own store path, differs with `text`; the rest of the closure stays. */
const expression = (text: string): string => `
  with import <nixpkgs> {};
  let page = writeText "page.js" ''
    require('http').createServer((request, response) => response.end('${text}')).listen(8080);
  '';
  in writeShellScriptBin "web" "exec \${nodejs}/bin/node \${page}"`;

const home = await mkdtemp(join(tmpdir(), 'kiln-bench-'));
const signal = new AbortController().signal;
try {
  await using kiln = await openKiln({
    env: { ...process.env, KILN_HOME: home },
    signal,
    onNotice: (line) => console.error(line),
  });
  const nix = await kiln.nix();
  await using server = await serve(kiln, { listen: '127.0.0.1:0' });
  const nixBuild = async (text: string): Promise<number> => {
    const file = join(home, 'expression.nix');
    await writeFile(file, expression(text));
    const started = performance.now();
    await runChecked(
      join(nix.binDir, 'nix'),
      ['build', '--extra-experimental-features', 'nix-command', '--impure', '--no-link', '-f', file],
      {
        env: { ...nixEnvironment(nix), NIX_PATH: `nixpkgs=${basisPath()}` },
      },
    );
    return performance.now() - started;
  };
  const salt = String(Date.now());
  await kilnBuild(server.api, `${salt}-sources`, false); // every source and tool is in the store
  const cold = {
    nix: await nixBuild(`${salt}-cold`),
    kiln: await timed(() => kilnBuild(server.api, `${salt}-first`, true)),
  };
  const warm: { nix: number; kiln: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    warm.push({
      nix: await nixBuild(`${salt}-nix-${round}`),
      kiln: await timed(() => kilnBuild(server.api, `${salt}-kiln-${round}`, true)),
    });
  }
  const again = await timed(() => kilnBuild(server.api, `${salt}-kiln-${ROUNDS - 1}`, true));
  const median = (values: readonly number[]): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const row = (name: string, plain: number, whole: number): void =>
    console.log(
      `${name.padEnd(26)} nix build ${plain.toFixed(0).padStart(6)} ms   kiln ${whole.toFixed(0).padStart(6)} ms   added ${(whole - plain).toFixed(0).padStart(6)} ms`,
    );
  row('first image (cold)', cold.nix, cold.kiln);
  row(
    `one path changed (${ROUNDS})`,
    median(warm.map((pair) => pair.nix)),
    median(warm.map((pair) => pair.kiln)),
  );
  console.log(
    `${'the same build again'.padEnd(26)} ${' '.repeat(23)}kiln ${again.toFixed(0).padStart(6)} ms`,
  );
} finally {
  await rm(home, { recursive: true, force: true });
}

async function kilnBuild(api: KilnApi, text: string, image: boolean): Promise<BuildView> {
  const request = parseBuildRequest({
    source: {
      kind: 'expression',
      expression: expression(text),
      files: { 'kiln.toml': '[image]\nports = [8080]\n[health]\nhttp = "/"\n' },
    },
    options: { packages: 'basis' },
    name: 'bench/web',
    image,
  });
  const { id } = await api.createBuild(request);
  for await (const event of api.followBuild(id, { signal })) {
    if (event.type !== 'end') continue;
    if (event.build.status !== 'success') throw new Error(JSON.stringify(event.build.reason));
    if (process.env['STEPS'] !== undefined)
      console.log(event.build.steps.map((step) => `${step.name} ${step.durationMs ?? 0}`).join('  '));
    return event.build;
  }
  throw new Error('the build did not end');
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
