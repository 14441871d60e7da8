/** Store paths: `/nix/store/<32 nix32 characters>-<name>`. */
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';

/** The one store directory that Kiln serves; images and caches made elsewhere could not use another. */
export const STORE_DIR = '/nix/store';

const HASH_PART = /^[0-9a-df-np-sv-z]{32}$/;
/** Bytes; with the hash part and the dash it stays below the 255 of most file systems, `.lock` and `.drv` included. */
const MAX_NAME = 211;

/** @throws KilnError invalid-input when `text` is not exactly a store path (no trailing slash, no sub-path) */
export function parseStorePath(text: string): StorePath {
  if (!text.startsWith(`${STORE_DIR}/`)) throw invalid(text, `it is not in ${STORE_DIR}`);
  return storePathFromBaseName(text.slice(STORE_DIR.length + 1));
}

export function isStorePath(text: string): text is StorePath {
  return text.startsWith(`${STORE_DIR}/`) && baseNameFault(text.slice(STORE_DIR.length + 1)) === undefined;
}

/** `<hash>-<name>` → store path. @throws KilnError invalid-input */
export function storePathFromBaseName(baseName: string): StorePath {
  const fault = baseNameFault(baseName);
  if (fault !== undefined) throw invalid(baseName, fault);
  return `${STORE_DIR}/${baseName}` as StorePath;
}

/** `<hash>-<name>`. */
export function baseNameOf(path: StorePath): string {
  return path.slice(STORE_DIR.length + 1);
}

/** The 32 nix32 characters by which binary caches name a path. */
export function hashPartOf(path: StorePath): string {
  return path.slice(STORE_DIR.length + 1, STORE_DIR.length + 33);
}

/** What follows the hash part, for derivations with `.drv`. */
export function nameOf(path: StorePath): string {
  return path.slice(STORE_DIR.length + 34);
}

export function isHashPart(text: string): boolean {
  return HASH_PART.test(text);
}

/** The store path that a file inside it belongs to: `/nix/store/<hash>-x/bin/y` → `/nix/store/<hash>-x`. */
export function storePathOfFile(file: string): StorePath | undefined {
  const end = file.indexOf('/', STORE_DIR.length + 1);
  const path = end < 0 ? file : file.slice(0, end);
  return isStorePath(path) ? path : undefined;
}

/** Checks a name for a new store path by Nix's rules. @throws KilnError invalid-name */
export function checkStoreName(name: string): string {
  const fault = nameFault(name);
  if (fault === undefined) return name;
  throw new KilnError(
    'invalid-name',
    `${JSON.stringify(name.slice(0, 240))} cannot be a store name: ${fault}`,
    {
      hint: 'Use letters, digits and + - . _ ? =, at most 211 of them.',
    },
  );
}

/** The nearest name that Nix allows: other characters become dashes. */
export function toStoreName(text: string): string {
  const name = text
    .replace(/[^0-9a-zA-Z+\-._?=]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, MAX_NAME);
  return name === '' ? 'source' : name;
}

function nameFault(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.length > MAX_NAME) return `it is longer than ${MAX_NAME} characters`;
  const wrong = /[^0-9a-zA-Z+\-._?=]/.exec(name);
  if (wrong !== null) return `it holds ${JSON.stringify(wrong[0])}`;
  if (/^\.\.?(-|$)/.test(name)) return 'it starts like a relative path';
  return undefined;
}

function baseNameFault(baseName: string): string | undefined {
  if (!HASH_PART.test(baseName.slice(0, 32))) return 'it does not begin with 32 nix32 characters';
  if (baseName[32] !== '-') return 'no dash follows its hash part';
  return nameFault(baseName.slice(33));
}

function invalid(text: string, reason: string): KilnError {
  return new KilnError(
    'invalid-input',
    `${JSON.stringify(text.slice(0, 280))} is not a store path: ${reason}`,
  );
}
