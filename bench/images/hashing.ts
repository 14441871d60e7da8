/** Cold images against the limits: dumping the same paths into sha256sum, and hashing the same bytes as one file. */
import { join } from 'node:path';
import type { BenchRun } from '../images.ts';
import { measure, shell } from './run.ts';

const DUMP = 'nix-store --dump | sha256sum, one core';
const FILE = 'sha256 of one cached file, one core';
const ONE = 'kiln cold image, one core';
const TWO = 'kiln cold image, two cores';
const CHILD = join(import.meta.dirname, 'kiln-image.ts');

export async function hashingLimits({ sample, folder, figures, repeat }: BenchRun): Promise<void> {
  const list = sample.first.closure.paths.map(({ path }) => path.slice(1)).join(' ');
  const file = join(folder, 'one-file');
  const tree = join(folder, 'one-tree');
  // Reads everything into the cache and makes the file that is hashed below; links make one tree, so that one process dumps all.
  await shell(`cd /; tar -cf ${file} ${list}; mkdir ${tree}; cp -al ${list} ${tree}/`);
  for (let at = 0; at < repeat; at++) {
    const { env } = sample.nix;
    figures.add(DUMP, await shell(`nix-store --dump ${tree} | sha256sum`, { env, processors: '0' }));
    figures.add(
      FILE,
      await measure(process.execPath, [join(import.meta.dirname, 'hash-file.ts'), file], { processors: '0' }),
    );
  }
}

export async function coldImages({ sample, figures, repeat }: BenchRun): Promise<void> {
  for (let at = 0; at < repeat; at++) {
    const env = { ...sample.nix.env };
    for (const [name, processors] of [
      [ONE, '0'],
      [TWO, '0,1'],
    ] as const)
      figures.add(name, await measure(process.execPath, [CHILD, sample.first.root], { env, processors }));
  }
  figures.compare('cold image on one core / nix-store --dump | sha256sum', [ONE, DUMP], ['<=', 1]);
  figures.compare('… in processor time', [ONE, DUMP], ['<=', 1], 'cpuMs');
  figures.compare('cold image on one core / hashing one cached file', [ONE, FILE], ['<=', 1.5]);
  figures.compare('… in processor time', [ONE, FILE], ['<=', 1.5], 'cpuMs');
  figures.compare('one core / two cores', [ONE, TWO], ['>=', 1.8]);
  const peak = figures.median(TWO, 'peakBytes');
  if (peak !== undefined) figures.value('peak memory of a cold image, MiB', peak / 2 ** 20, ['<=', 200]);
}
