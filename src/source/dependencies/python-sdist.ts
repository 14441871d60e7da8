/** Source distributions of Python packages that have no wheel: read here, built in the sandbox. */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { parse } from 'smol-toml';
import { extract } from 'tar-stream';
import { KilnError } from '../../base/error.ts';
import { comparePython, isPrerelease, satisfiesPython } from './python-version.ts';
import { storedZip } from './stored-zip.ts';

export interface SdistLink {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  /** Hex. */
  readonly sha256: string;
}

export interface SdistFacts {
  /** As pip reads them, with their markers. */
  readonly requirements: readonly string[];
  readonly extras: readonly string[];
  /** What building it needs. */
  readonly buildRequirements: readonly string[];
}

const MAX_UNPACKED = 512 * 2 ** 20;
const LINK = /Skipping link: No sources permitted for [^:]+: (https:\/\/\S+?)#sha256=([0-9a-f]{64})/g;

/** The newest source distribution that the requirement admits, out of what `pip download -vv` says it skipped. */
export function chooseSdist(output: string, requirement: string): SdistLink | undefined {
  const { name, ranges } = splitRequirement(requirement);
  const links = [...output.matchAll(LINK)].flatMap(([, url = '', sha256 = '']): SdistLink[] => {
    const file = decodeURIComponent(url.replace(/^.*\//, ''));
    const version = /-(v?\d[^-]*?)\.tar\.gz$/.exec(file)?.[1];
    return version === undefined ? [] : [{ name, version, url, sha256 }];
  });
  const fitting = links.filter(({ version }) => satisfiesPython(version, ranges));
  const released = fitting.filter(({ version }) => !isPrerelease(version));
  return (released.length > 0 ? released : fitting)
    .sort((a, b) => comparePython(a.version, b.version))
    .at(-1);
}

/** `Name[extra]>=1,<2; marker` → its normalised name and `>=1,<2`. */
export function splitRequirement(line: string): { readonly name: string; readonly ranges: string } {
  const match = /^\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*\(?([^;)#]*)/.exec(
    line.replace(/\s--hash=\S+/g, ''),
  );
  return {
    name: (match?.[1] ?? line).toLowerCase().replace(/[-_.]+/g, '-'),
    ranges: (match?.[2] ?? '').trim(),
  };
}

/** @throws KilnError hash-mismatch, too-large, invalid-input */
export async function readSdist(content: Buffer, link: SdistLink): Promise<SdistFacts> {
  const where = `${link.name} ${link.version}`;
  if (createHash('sha256').update(content).digest('hex') !== link.sha256) {
    throw new KilnError('hash-mismatch', `The source distribution of ${where} is not what the index names`, {
      where: link.url.replace(/\/\/[^/@]*@/, '//'),
      hint: 'Find out why it changed before you build again.',
    });
  }
  const texts = await readTexts(content, where);
  const metadata = texts.get('PKG-INFO') ?? '';
  const stated = headers(metadata, 'Requires-Dist');
  return {
    requirements: stated.length > 0 ? stated : oldRequirements(texts.get('requires.txt') ?? ''),
    extras: headers(metadata, 'Provides-Extra'),
    buildRequirements: buildRequirements(texts.get('pyproject.toml')),
  };
}

/** A wheel with the metadata alone: pip resolves with it, and never installs it. */
export function metadataWheel(
  link: SdistLink,
  facts: SdistFacts,
): { readonly file: string; readonly content: Buffer } {
  const base = `${link.name.replaceAll('-', '_')}-${link.version}`;
  const info = `${base}.dist-info`;
  const lines = [
    'Metadata-Version: 2.1',
    `Name: ${link.name}`,
    `Version: ${link.version}`,
    ...facts.requirements.map((line) => `Requires-Dist: ${line}`),
    ...facts.extras.map((name) => `Provides-Extra: ${name}`),
  ];
  return {
    file: `${base}-py3-none-any.whl`,
    content: storedZip({
      [`${info}/METADATA`]: `${lines.join('\n')}\n`,
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: kiln\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
      [`${info}/RECORD`]: `${info}/METADATA,,\n${info}/WHEEL,,\n${info}/RECORD,,\n`,
    }),
  };
}

/** The files that say what it needs, by name: only those at the top, and below `*.egg-info`. */
async function readTexts(content: Buffer, where: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  const archive = extract();
  let tar: Buffer;
  try {
    tar = gunzipSync(content, { maxOutputLength: MAX_UNPACKED });
  } catch (cause) {
    throw new KilnError('invalid-input', `The source distribution of ${where} cannot be unpacked`, { cause });
  }
  archive.end(tar);
  for await (const entry of archive) {
    const name =
      /^(?:\.\/)?[^/]+\/(?:[^/]+\/)?(?:[^/]+\.egg-info\/)?(PKG-INFO|requires\.txt|pyproject\.toml)$/.exec(
        entry.header.name,
      )?.[1];
    const deep = entry.header.name.replace(/^\.\//, '').split('/').length > 2;
    const wanted =
      name !== undefined && (!deep || (name === 'requires.txt' && entry.header.name.includes('.egg-info/')));
    if (!wanted || entry.header.type !== 'file') {
      entry.resume();
      continue;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
    if (!texts.has(name)) texts.set(name, Buffer.concat(chunks).toString('utf8'));
  }
  return texts;
}

function headers(metadata: string, name: string): string[] {
  const head = metadata.split(/\r?\n\r?\n/)[0] ?? '';
  return [...head.matchAll(new RegExp(`^${name}:[ \\t]*(.+?)\\r?$`, 'gim'))].map((match) => match[1] ?? '');
}

/** setuptools' own list: plain lines, then sections `[extra]`, `[:marker]` and `[extra:marker]`. */
function oldRequirements(text: string): string[] {
  let condition = '';
  return text.split(/\r?\n/).flatMap((raw) => {
    const line = raw.trim();
    const section = /^\[([^\]:]*)(?::(.*))?\]$/.exec(line);
    if (section === null) return line === '' ? [] : [condition === '' ? line : `${line}; ${condition}`];
    const parts = [
      ...(section[1] === undefined || section[1] === '' ? [] : [`extra == '${section[1]}'`]),
      ...(section[2] === undefined ? [] : [`(${section[2]})`]),
    ];
    condition = parts.join(' and ');
    return [];
  });
}

function buildRequirements(pyproject: string | undefined): readonly string[] {
  const usual = ['setuptools', 'wheel'];
  if (pyproject === undefined) return usual;
  try {
    const system = parse(pyproject)['build-system'];
    const requires = typeof system === 'object' && 'requires' in system ? system['requires'] : undefined;
    return Array.isArray(requires) ? requires.filter((word) => typeof word === 'string') : usual;
  } catch {
    return usual;
  }
}
