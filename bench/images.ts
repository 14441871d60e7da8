/**
 * Compares images and the registry with their peers, side by side in one run on the same closure: times, processor times
 * and peak memory as medians, and what they are in proportion to each other.
 *
 *   node bench/images.ts [--repeat N] [--only PART,…] [--json FILE]
 *
 * Parts: limit, cold, change, registry, docker, buildah. Needs Nix; nginx, docker-registry, dockerd, buildah and skopeo where
 * they are there. The closure comes from the basis (Go, Node.js, CMake, FFmpeg), so it is the same everywhere.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes } from '../src/base/units.ts';
import { makeSample, type Sample } from './images/closure.ts';
import { Figures } from './images/figures.ts';
import { buildah, docker } from './images/containers.ts';
import { coldImages, hashingLimits } from './images/hashing.ts';
import { changedPath, registryReads } from './images/serving.ts';

export interface BenchRun {
  readonly sample: Sample;
  readonly folder: string;
  readonly figures: Figures;
  readonly repeat: number;
}

const PARTS: Readonly<Record<string, (run: BenchRun) => Promise<void>>> = {
  limit: hashingLimits,
  cold: coldImages,
  change: changedPath,
  registry: registryReads,
  docker,
  buildah,
};

const { values } = parseArgs({
  options: { repeat: { type: 'string', default: '3' }, only: { type: 'string' }, json: { type: 'string' } },
});
const wanted = values.only?.split(',') ?? Object.keys(PARTS);
const folder = await mkdtemp(join(tmpdir(), 'kiln-bench-'));
try {
  const sample = await makeSample(folder);
  console.log(
    `closure: ${sample.first.closure.paths.length} store paths, ${sample.files} files, ${formatBytes(sample.bytes)}; small files: ${sample.small.files}`,
  );
  const figures = new Figures();
  for (const part of wanted) await PARTS[part]?.({ sample, folder, figures, repeat: Number(values.repeat) });
  console.log(figures.table());
  console.log(figures.comparisons());
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(figures, null, 2)}\n`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
