/** A made-up closure in a temporary folder that stands in for the root of the machine. */
import { chmod, lstat, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { NarHash, StorePath } from '../../src/base/brand.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { StoreLocation } from '../../src/image/walk-store-path.ts';
import type { Closure, PathInfo } from '../../src/store/closure.ts';

/** Content; `x:` in front makes it executable, `->` a link, a name that ends in `/` an empty folder. */
export type SampleTree = Readonly<Record<string, string | Buffer>>;

export interface SamplePath {
  readonly name: string;
  readonly references?: readonly string[];
  readonly files: SampleTree | string;
  /** Changes the hash of the path. */
  readonly revision?: number;
}

export interface SampleStore extends AsyncDisposable {
  readonly location: StoreLocation;
  readonly physicalRoot: string;
  add(path: SamplePath): Promise<PathInfo>;
  closure(...roots: string[]): Closure;
  pathOf(name: string): StorePath;
}

/** The same name and revision give the same store path, everywhere. */
export function samplePath(name: string, revision = 0): StorePath {
  const hash = digestOf(`${name} ${revision}`).slice(7, 39).replaceAll('e', 'z');
  return `/nix/store/${hash}-${name}` as StorePath;
}

export async function sampleStore(): Promise<SampleStore> {
  const physicalRoot = await mkdtemp(join(tmpdir(), 'kiln-store-'));
  const infos = new Map<string, PathInfo>();
  const pathOf = (name: string): StorePath => {
    const info = infos.get(name);
    if (info === undefined) throw new Error(`No sample path ${name}`);
    return info.path;
  };
  const add = async (sample: SamplePath): Promise<PathInfo> => {
    const path = samplePath(sample.name, sample.revision);
    const narSize = await writeTree(physicalRoot + path, sample.files);
    const references = (sample.references ?? []).map(pathOf).sort();
    const narHash = digestOf(`nar ${path}`) as string as NarHash;
    const info = { path, narHash, narSize, references, signatures: [], registrationTime: 0, ultimate: true };
    infos.set(sample.name, info);
    return info;
  };
  const closure = (...roots: string[]): Closure => {
    const paths = [...infos.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    return { roots: roots.map(pathOf), paths };
  };
  return {
    physicalRoot,
    location: { physicalRoot, registeredTimes: false },
    add,
    closure,
    pathOf,
    [Symbol.asyncDispose]: async () => rm(physicalRoot, { recursive: true, force: true }),
  };
}

async function writeTree(at: string, files: SampleTree | string): Promise<number> {
  if (typeof files === 'string') return writeOne(at, files);
  await mkdir(at, { recursive: true });
  let size = 100;
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith('/')) await mkdir(join(at, name), { recursive: true });
    else size += await writeOne(join(at, name), content);
  }
  return size;
}

async function writeOne(at: string, content: string | Buffer): Promise<number> {
  await mkdir(dirname(at), { recursive: true });
  if (typeof content === 'string' && content.startsWith('->')) {
    await symlink(content.slice(2), at);
    return 100;
  }
  const bytes = Buffer.from(content);
  const executable = bytes.toString('latin1', 0, 2) === 'x:';
  await writeFile(at, executable ? bytes.subarray(2) : bytes);
  await chmod(at, executable ? 0o555 : 0o444);
  return (await lstat(at)).size + 100;
}
