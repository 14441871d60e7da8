/** The usual way: `docker build` and `buildah` with a push to Debian's docker-registry, and skopeo between registries. */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { useDockerEngine } from '../../scripts/docker-engine.ts';
import type { BenchRun } from '../images.ts';
import type { Release } from './closure.ts';
import { installed, measure, shell } from './run.ts';
import { answers, CHANGED, COLD, end, freePort, startKiln } from './serving.ts';

const DOCKER = { cold: 'docker build and push, cold', changed: 'docker build and push, one changed path' };
const BUILDAH = { cold: 'buildah and push, cold', changed: 'buildah and push, one changed path' };

export async function docker({ sample, folder, figures }: BenchRun): Promise<void> {
  if (!(await installed('docker')) || !(await installed('docker-registry'))) return;
  await using engine = await useDockerEngine({ env: process.env });
  if (engine.missing !== undefined) return console.log(`  without Docker: ${engine.missing}`);
  await using registry = await startRegistry(folder);
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY nix /nix\nENTRYPOINT ["/bin/true"]\n');
  const env = { ...engine.env, DOCKER_BUILDKIT: '0' };
  for (const [name, release] of [
    [DOCKER.cold, sample.first],
    [DOCKER.changed, sample.second],
  ] as const) {
    const tag = `${registry.host}/bench:${name === DOCKER.cold ? 1 : 2}`;
    const context = `tar -cf - -C ${folder} Dockerfile -C / ${relative(release)}`;
    figures.add(
      name,
      await shell(`${context} | docker build -q -t ${tag} - && docker push -q ${tag}`, { env }),
    );
  }
  figures.compare('docker / kiln, cold', [DOCKER.cold, COLD], ['>=', 20]);
  figures.compare('docker / kiln, one changed path', [DOCKER.changed, CHANGED], ['>=', 100]);
}

export async function buildah(run: BenchRun): Promise<void> {
  const { sample, folder, figures, repeat } = run;
  if (!(await installed('docker-registry'))) return;
  await using registry = await startRegistry(folder);
  if (await installed('buildah')) {
    const store = `--root ${folder}/buildah --runroot ${folder}/buildah-run --storage-driver vfs`;
    for (const [name, release] of [
      [BUILDAH.cold, sample.first],
      [BUILDAH.changed, sample.second],
    ] as const) {
      const context = join(folder, `context-${release === sample.first ? 1 : 2}`);
      await mkdir(join(context, 'nix/store'), { recursive: true });
      // Links, so that only what buildah does is measured.
      await shell(`cp -al ${release.closure.paths.map(({ path }) => path).join(' ')} ${context}/nix/store/`);
      figures.add(
        name,
        await shell(
          `c=$(buildah ${store} from scratch); buildah ${store} copy -q $c ${context} / >/dev/null; i=$(buildah ${store} commit -q --rm $c); buildah ${store} push -q --tls-verify=false $i docker://${registry.host}/buildah:1`,
        ),
      );
    }
    figures.compare('buildah / kiln, cold', [BUILDAH.cold, COLD]);
    figures.compare('buildah / kiln, one changed path', [BUILDAH.changed, CHANGED]);
  }
  if (!(await installed('skopeo'))) return;
  const [pushed, copied] = [
    'kiln push, uncompressed, to docker-registry',
    'skopeo copy from kiln to docker-registry',
  ];
  await using kiln = await startKiln(run);
  for (let at = 0; at < repeat; at++) {
    await using fresh = await startRegistry(folder);
    await using other = await startRegistry(folder);
    figures.add(pushed, { ms: await kiln.push(fresh.host) });
    const from = `docker://${new URL(kiln.told.url).host}/bench/app:second`;
    const copy = [
      '--insecure-policy',
      'copy',
      '-q',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      '--dest-compress=false',
    ];
    figures.add(copied, await measure('skopeo', [...copy, from, `docker://${other.host}/skopeo:second`]));
  }
  figures.compare('skopeo copy / kiln push', [copied, pushed], ['>=', 1]);
}

function relative(release: Release): string {
  return release.closure.paths.map(({ path }) => path.slice(1)).join(' ');
}

let registries = 0;
async function startRegistry(folder: string): Promise<AsyncDisposable & { readonly host: string }> {
  const port = await freePort();
  const home = join(folder, `docker-registry-${++registries}`);
  await mkdir(home);
  const config = join(home, 'config.yml');
  await writeFile(
    config,
    `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${home}/data}}\nhttp: {addr: 127.0.0.1:${port}}\n`,
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'inherit'] });
  await answers(`http://127.0.0.1:${port}/v2/`);
  return { host: `127.0.0.1:${port}`, [Symbol.asyncDispose]: () => end(child) };
}
