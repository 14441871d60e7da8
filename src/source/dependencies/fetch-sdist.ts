/** Downloads a source distribution. Only pip's own answer says where it is; nothing of it runs outside the sandbox. */
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../../base/error.ts';
import type { SourceContext } from '../source-context.ts';
import { readSdist, type SdistFacts, type SdistLink } from './python-sdist.ts';
import { refusePrivateHost } from './refuse-private-host.ts';

/** Folder of the dependencies that holds sources to build. */
export const SDISTS = 'sdists';
const DEADLINE_MS = 10 * 60_000;
/** Build tools that wheels alone do not bring. */
const RUST = /^(maturin|setuptools-rust)\b/i;

/** A package that the index has, but no wheel of it. */
export class MissingWheel extends Error {
  readonly sdist: SdistLink;

  constructor(sdist: SdistLink) {
    super(`${sdist.name} ${sdist.version} has no wheel`);
    this.sdist = sdist;
  }
}

/** @throws KilnError dependency-fetch (not there, not what the lock names, or needs Rust), hash-mismatch */
export async function fetchSdist(
  sdist: SdistLink,
  download: { readonly lines: readonly string[]; readonly locked: boolean; readonly python: string },
  directory: string,
  context: SourceContext,
): Promise<SdistFacts> {
  const name = `${sdist.name} ${sdist.version}`;
  if (download.locked && !download.lines.some((line) => line.includes(`--hash=sha256:${sdist.sha256}`))) {
    throw new KilnError(
      'dependency-fetch',
      `${name} has no wheel for Python ${download.python}, and its source is not in the lock`,
      {
        hint: `Lock it again with Python ${download.python}.`,
      },
    );
  }
  const file = path.join(
    directory,
    SDISTS,
    path.posix.basename(decodeURIComponent(new URL(sdist.url).pathname)),
  );
  await mkdir(path.dirname(file), { recursive: true });
  await save(sdist, file, context);
  const facts = await readSdist(await readFile(file), sdist);
  const rust = facts.buildRequirements.find((line) => RUST.test(line));
  if (rust !== undefined) {
    throw new KilnError(
      'dependency-fetch',
      `${name} has no wheel for Python ${download.python}, and building it needs Rust`,
      {
        where: `build requirement ${rust}`,
        hint: `Ask for a newer version of ${sdist.name}, one that has a wheel for Python ${download.python}; then lock again.`,
      },
    );
  }
  return facts;
}

async function save(sdist: SdistLink, file: string, context: SourceContext): Promise<void> {
  if (!context.allowLocal) await refusePrivateHost(sdist.url);
  const limits = [
    AbortSignal.timeout(DEADLINE_MS),
    ...(context.signal === undefined ? [] : [context.signal]),
  ];
  try {
    const response = await fetch(sdist.url, { signal: AbortSignal.any(limits) });
    if (!response.ok || response.body === null) throw new Error(`the index answers ${response.status}`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(file));
  } catch (cause) {
    context.signal?.throwIfAborted();
    throw new KilnError(
      'dependency-fetch',
      `The source distribution of ${sdist.name} ${sdist.version} could not be downloaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        where: sdist.url.replace(/\/\/[^/@]*@/, '//'),
        hint: 'Check that this machine reaches the address. An index that asks for a password has to have a wheel.',
        cause,
      },
    );
  }
}
