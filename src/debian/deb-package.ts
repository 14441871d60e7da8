/** Debian binary packages as the signed index describes them (deb-control(5), Debian policy §5 and §7). */
import { KilnError } from '../base/error.ts';

/** One binary package, complete enough to be fetched and checked without the index. */
export interface DebPackage {
  readonly name: string;
  /** Debian version with epoch, e.g. `1:2.39.5-0+deb13u2`. */
  readonly version: string;
  /** `amd64`, `arm64` or `all`. */
  readonly architecture: string;
  /** SHA-256 of the `.deb`, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** Bytes of the `.deb`. */
  readonly size: number;
  /** Path below the archive's root, e.g. `pool/main/b/bash/bash_5.2.37-2+b5_amd64.deb`. */
  readonly filename: string;
  /** Suite it was found in, e.g. `trixie` or `trixie-security`. */
  readonly suite: string;
  /** Names of the packages of the same closure that it depends on, sorted. */
  readonly dependencies?: readonly string[];
}

/** One paragraph of an index: field name → value; continuation lines are joined by line feeds. */
export type ControlParagraph = ReadonlyMap<string, string>;

/** Splits control data into paragraphs; lines that are neither a field nor a continuation are refused. */
export function parseControl(text: string): ControlParagraph[] {
  const paragraphs: Map<string, string>[] = [];
  let current: Map<string, string> | undefined;
  let field: string | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') {
      current = undefined;
      field = undefined;
      continue;
    }
    if (/^[ \t]/.test(line)) {
      if (current === undefined || field === undefined) throw notControl(line);
      current.set(field, `${current.get(field) ?? ''}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon < 1) throw notControl(line);
    if (current === undefined) {
      current = new Map();
      paragraphs.push(current);
    }
    field = line.slice(0, colon);
    current.set(field, line.slice(colon + 1).trim());
  }
  return paragraphs;
}

/**
 * Reads the package of one index paragraph.
 * @throws KilnError corrupt when a field that identifies its bytes is missing or malformed
 */
export function packageOf(paragraph: ControlParagraph, suite: string): DebPackage {
  const need = (field: string, pattern: RegExp): string => {
    const value = paragraph.get(field);
    if (value !== undefined && pattern.test(value)) return value;
    throw new KilnError('corrupt', `the Debian index gives no usable ${field}`, {
      where: `package ${paragraph.get('Package') ?? '?'}`,
    });
  };
  const filename = need('Filename', /^[\w.+~:/-]+\.deb$/).replace(/^\.\//, '');
  if (filename.startsWith('/') || filename.split('/').includes('..')) {
    throw new KilnError('corrupt', `the Debian index names a file outside the archive: ${filename}`);
  }
  return {
    name: need('Package', /^[a-z0-9][a-z0-9+.-]+$/),
    version: need('Version', /^[\w.+~:-]+$/),
    architecture: need('Architecture', /^[a-z0-9-]+$/),
    sha256: need('SHA256', /^[0-9a-f]{64}$/),
    size: Number(need('Size', /^\d{1,12}$/)),
    filename,
    suite,
  };
}

/** `Pre-Depends` and `Depends` as a list of alternatives: `[['libc6'], ['mawk', 'gawk']]`. Versions are left out. */
export function dependencyClauses(paragraph: ControlParagraph): string[][] {
  return ['Pre-Depends', 'Depends'].flatMap((field) => packageLists(paragraph.get(field)));
}

/** The virtual packages it provides. */
export function providedNames(paragraph: ControlParagraph): string[] {
  return packageLists(paragraph.get('Provides')).flat();
}

function packageLists(value: string | undefined): string[][] {
  return (value ?? '')
    .split(',')
    .map((clause) => clause.split('|').map((item) => /^[a-z0-9][a-z0-9+.-]*/.exec(item.trim())?.[0] ?? ''))
    .map((names) => names.filter((name) => name !== ''))
    .filter((names) => names.length > 0);
}

function notControl(line: string): KilnError {
  return new KilnError('corrupt', 'the Debian index could not be read', { where: line.slice(0, 200) });
}
