/** Tells local flakes, which Kiln copies first, from remote ones, which Nix fetches. */
import { fileURLToPath } from 'node:url';
import { KilnError } from '../base/error.ts';

export interface FlakeReference {
  readonly reference: string;
  readonly attr?: string;
  /** The folder of a local flake. */
  readonly directory?: string;
}

/** @throws KilnError invalid-input */
export function parseFlakeReference(text: string): FlakeReference {
  const [reference, fragment] = splitOnce(text, '#');
  if (reference === '' && fragment === undefined) throw malformed(text);
  if (reference.startsWith('-') || /[\0-\x20\x7f]/.test(text)) throw malformed(text);
  const attr = fragment === undefined || fragment === '' ? {} : { attr: decode(fragment, text) };
  const [location, query] = splitOnce(reference, '?');
  const local = localDirectory(location, text);
  if (local === undefined) return { reference, ...attr };
  const below = new URLSearchParams(query ?? '').get('dir');
  return { reference, ...attr, directory: below === null ? local : `${local}/${below}` };
}

function localDirectory(location: string, text: string): string | undefined {
  if (location === '' || /^\.{0,2}\//.test(location) || location === '.' || location === '..') {
    return decode(location === '' ? '.' : location, text);
  }
  if (location.startsWith('path:')) return decode(location.slice('path:'.length), text);
  if (location.startsWith('git+file:')) {
    try {
      return fileURLToPath(location.slice('git+'.length));
    } catch {
      throw malformed(text);
    }
  }
  return undefined;
}

function decode(text: string, whole: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed(whole);
  }
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function malformed(text: string): KilnError {
  return new KilnError('invalid-input', `${JSON.stringify(text.slice(0, 200))} is not a flake reference`, {
    hint: 'Write e.g. `.#web`, `github:owner/repository` or `git+https://host/repository?ref=main#web`.',
  });
}
