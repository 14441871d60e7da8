/** `.drv` files: the ATerm that Nix writes for each derivation. */
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { readAterm, type Aterm } from './aterm.ts';
import { isStorePath, parseStorePath } from './store-path.ts';

export interface DerivationOutput {
  /** Missing where it is known only after the build (content-addressed derivations). */
  readonly path?: StorePath;
  /** `sha256`, `r:sha256` (recursive) … for outputs whose content is fixed; otherwise empty. */
  readonly hashAlgorithm: string;
  /** Base 16; empty unless the content is fixed. */
  readonly hash: string;
}

export interface Derivation {
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  /** Derivation → names of the outputs that are used. */
  readonly inputDrvs: ReadonlyMap<StorePath, readonly string[]>;
  readonly inputSrcs: readonly StorePath[];
  /** `x86_64-linux`, or `builtin`. */
  readonly platform: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: ReadonlyMap<string, string>;
  /** What `__structuredAttrs` gives the builder as JSON. */
  readonly structuredAttrs?: Readonly<Record<string, unknown>>;
}

/** Characters; the largest derivations of nixpkgs have about one million. */
const MAX_DERIVATION = 64 * 2 ** 20;

/** @throws KilnError invalid-input (with the offset), too-large */
export function parseDerivation(text: string): Derivation {
  if (text.length > MAX_DERIVATION) throw new KilnError('too-large', 'The derivation is larger than 64 MiB');
  const term = readAterm(text);
  if (term.name !== 'Derive' || term.fields.length !== 7) {
    throw invalid(
      term.name === 'DrvWithVersion'
        ? 'its form is experimental (dynamic derivations)'
        : 'it is no Derive(…) of seven fields',
    );
  }
  const [outputs, inputDrvs, inputSrcs, platform, builder, args, env] = term.fields;
  const variables = new Map(rows(env, 2).map((row) => [string(row[0]), string(row[1])]));
  const structured = structuredAttrs(variables.get('__json'));
  return {
    outputs: new Map(rows(outputs, 4).map((row) => [string(row[0]), toOutput(row)])),
    inputDrvs: new Map(rows(inputDrvs, 2).map((row) => [parseStorePath(string(row[0])), strings(row[1])])),
    inputSrcs: strings(inputSrcs).map(parseStorePath),
    platform: string(platform),
    builder: string(builder),
    args: strings(args),
    env: variables,
    ...(structured === undefined ? {} : { structuredAttrs: structured }),
  };
}

/** The bytes that Nix would write: what `parseDerivation` read comes out unchanged. */
export function formatDerivation(derivation: Derivation): string {
  const list = (items: Iterable<string>): string => `[${[...items].join(',')}]`;
  const outputs = [...derivation.outputs].map(
    ([name, { path = '', hashAlgorithm, hash }]) =>
      `(${[name, path, hashAlgorithm, hash].map(quote).join(',')})`,
  );
  const inputs = [...derivation.inputDrvs].map(
    ([path, names]) => `(${quote(path)},${list(names.map(quote))})`,
  );
  const env = [...derivation.env].map(([name, value]) => `(${quote(name)},${quote(value)})`);
  return `Derive(${[
    list(outputs),
    list(inputs),
    list(derivation.inputSrcs.map(quote)),
    quote(derivation.platform),
    quote(derivation.builder),
    list(derivation.args.map(quote)),
    list(env),
  ].join(',')})`;
}

/** True when the content of its output is stated beforehand; only such builds have the network. */
export function isFixedOutput(derivation: Derivation): boolean {
  const out = derivation.outputs.get('out');
  return derivation.outputs.size === 1 && out !== undefined && out.hash !== '';
}

/** Features a builder must have (`kvm`, `big-parallel` …). */
export function requiredSystemFeatures(derivation: Derivation): readonly string[] {
  const structured = derivation.structuredAttrs?.['requiredSystemFeatures'];
  if (Array.isArray(structured)) return structured.filter((feature) => typeof feature === 'string');
  const text = derivation.env.get('requiredSystemFeatures') ?? '';
  return text.split(/\s+/).filter((feature) => feature !== '');
}

function toOutput(row: readonly Aterm[]): DerivationOutput {
  const path = string(row[1]);
  return {
    hashAlgorithm: string(row[2]),
    hash: string(row[3]),
    ...(path === '' ? {} : { path: checkedPath(path) }),
  };
}

function checkedPath(path: string): StorePath {
  if (isStorePath(path)) return path;
  throw invalid(`${JSON.stringify(path.slice(0, 280))} is no store path`);
}

function structuredAttrs(json: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (json === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch {
    // Reported below, like JSON that is no object.
  }
  throw invalid('its structured attributes are no JSON object');
}

function rows(term: Aterm | undefined, width: number): readonly (readonly Aterm[])[] {
  return listOf(term).map((item) => {
    if (typeof item === 'string' || item.type !== 'tuple' || item.items.length !== width) {
      throw invalid(`a tuple of ${width} is missing`);
    }
    return item.items;
  });
}

function strings(term: Aterm | undefined): string[] {
  return listOf(term).map(string);
}

function listOf(term: Aterm | undefined): readonly Aterm[] {
  if (term === undefined || typeof term === 'string' || term.type !== 'list')
    throw invalid('a list is missing');
  return term.items;
}

function string(term: Aterm | undefined): string {
  if (typeof term !== 'string') throw invalid('a string is missing');
  return term;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function quote(text: string): string {
  return `"${text.replace(/["\\\n\r\t]/g, (character) => ESCAPES[character] ?? character)}"`;
}

function invalid(reason: string): KilnError {
  return new KilnError('invalid-input', `This is not a valid derivation: ${reason}`);
}
