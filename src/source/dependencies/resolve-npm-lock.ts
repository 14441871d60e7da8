/** A package-lock.json for an application that has none: resolved once, then the same on this machine until package.json changes. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../base/error.ts';
import { replaceFile } from '../../blobs/replace-file.ts';
import { runProcess } from '../../process/run-process.ts';
import type { SourceContext } from '../source-context.ts';
import type { PackageJson } from '../templates/package-json.ts';

const DEADLINE_MS = 10 * 60_000;
const SECTIONS = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'] as const;

/**
 * Text of the lock. Only names and version ranges reach npm, in an empty folder and without scripts: nothing of the source
 * and nothing of a package is executed.
 * @throws KilnError source-unrecognised (something that no registry has), dependency-fetch, tool-missing
 */
export async function resolveNpmLock(
  manifest: PackageJson,
  where: string,
  context: SourceContext,
): Promise<string> {
  const wanted = onlyRegistryPackages(manifest, where);
  const key = createHash('sha256')
    .update(JSON.stringify([wanted, context.nix.system]))
    .digest('hex');
  const record = path.join(context.depsCache, 'npm-locks', `${key}.json`);
  const known = await readFile(record, 'utf8').catch(() => undefined);
  if (known !== undefined) return known;
  context.onProgress?.('no lock file: asking the registry for versions');
  const work = path.join(context.depsCache, 'work', randomUUID());
  await mkdir(work, { recursive: true });
  try {
    await writeFile(path.join(work, 'package.json'), JSON.stringify(wanted));
    await runNpm(work, context);
    const text = await readFile(path.join(work, 'package-lock.json'), 'utf8');
    await replaceFile(record, text);
    return text;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function onlyRegistryPackages(manifest: PackageJson, where: string): Readonly<Record<string, unknown>> {
  if (manifest.workspaces !== undefined) throw withoutLock(where, 'workspaces');
  for (const section of SECTIONS) {
    const odd = Object.entries(manifest[section] ?? {}).find(([, range]) =>
      /[/:]/.test(range.replace(/^npm:(@[^/]+\/)?/, '')),
    );
    if (odd !== undefined) throw withoutLock(where, `${odd[0]} from ${odd[1].replace(/\/\/[^/@]*@/, '//')}`);
  }
  const sections = SECTIONS.flatMap((section) =>
    manifest[section] === undefined ? [] : [[section, manifest[section]] as const],
  );
  return {
    name: 'application',
    version: '0.0.0',
    ...Object.fromEntries(sections),
    ...(manifest['overrides'] === undefined ? {} : { overrides: manifest['overrides'] }),
  };
}

async function runNpm(cwd: string, context: SourceContext): Promise<void> {
  const folder = await context.nix.programFolder('nodejs', context.signal);
  const args = [
    'install',
    '--package-lock-only',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  const result = await runProcess(folder === undefined ? 'npm' : path.join(folder, 'npm'), args, {
    cwd,
    deadlineMs: DEADLINE_MS,
    env: {
      ...process.env,
      npm_config_cache: path.join(context.depsCache, 'npm-metadata'),
      npm_config_update_notifier: 'false',
    },
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  });
  if (result.exitCode === 0) return;
  const lines = result.stderr.split('\n').map((line) => line.replace(/^npm (error|ERR!) ?/, ''));
  const shown = lines.filter((line) => line.trim() !== '' && !/complete log of this run|\.log$/.test(line));
  const conflict = /ERESOLVE/.test(result.stderr);
  const unknown = /(?:E404|ETARGET)/.test(result.stderr);
  throw new KilnError(
    'dependency-fetch',
    conflict
      ? 'The versions in package.json contradict each other, and there is no lock file'
      : 'package.json has no lock file, and npm found no versions for it',
    {
      where: shown.slice(0, 12).join('\n'),
      hint: conflict
        ? 'Commit the package-lock.json that you work with (`npm install --legacy-peer-deps` writes one all the same).'
        : unknown
          ? 'Correct the name or the version shown, or commit a package-lock.json.'
          : 'Check that npm on this machine reaches its registry: `npm ping`.',
    },
  );
}

function withoutLock(where: string, because: string): KilnError {
  return new KilnError('source-unrecognised', 'package.json names dependencies, but there is no lock file', {
    where,
    hint: `Run \`npm install --package-lock-only\` and commit package-lock.json. Kiln writes one itself only where all packages are released ones (here: ${because}).`,
    fields: { lookedFor: ['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock'] },
  });
}
