/** What a fixed-output derivation of the basis asks Kiln to fetch: read from the derivation's environment. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KilnError } from '../base/error.ts';

const debSchema = z.strictObject({
  name: z.string(),
  version: z.string(),
  architecture: z.string(),
  sha256: z.string(),
  size: z.number(),
  filename: z.string(),
  suite: z.string(),
});
const npmSchema = z.strictObject({ package: z.string(), version: z.string(), integrity: z.string() });

export type DebSource = z.infer<typeof debSchema>;
export type NpmSource = z.infer<typeof npmSchema>;

interface Common {
  readonly drvPath: string;
  readonly outPath: string;
  /** The store path's name, which the added file must have. */
  readonly name: string;
}

export type ProvidedSource =
  | (Common & { readonly kind: 'deb' | 'busybox'; readonly source: DebSource })
  | (Common & { readonly kind: 'npm'; readonly source: NpmSource });

/** Undefined for a derivation that does not ask for anything. @throws KilnError corrupt, not-found */
export async function readProvidedSource(drvPath: string): Promise<ProvidedSource | undefined> {
  const text = await readFile(drvPath, 'latin1').catch((cause: unknown) => {
    throw new KilnError('not-found', 'a derivation that the build needs is not in the store', {
      where: drvPath,
      cause,
    });
  });
  if (!text.includes('("kilnProvide","')) return undefined;
  return parseProvidedSource(Buffer.from(text, 'latin1').toString('utf8'), drvPath);
}

/** @throws KilnError corrupt when the derivation asks for something that Kiln does not know how to fetch */
export function parseProvidedSource(text: string, drvPath: string): ProvidedSource | undefined {
  const environment = derivationEnvironment(text);
  const kind = environment.get('kilnProvide');
  if (kind === undefined) return undefined;
  const [outPath, name] = [environment.get('out'), environment.get('name')];
  const data = parseJson(environment.get('kilnSource') ?? '');
  if (outPath !== undefined && name !== undefined) {
    const common = { drvPath, outPath, name };
    if (kind === 'deb' || kind === 'busybox') {
      const deb = debSchema.safeParse(data);
      if (deb.success) return { ...common, kind, source: deb.data };
    } else if (kind === 'npm') {
      const npm = npmSchema.safeParse(data);
      if (npm.success) return { ...common, kind, source: npm.data };
    }
  }
  throw new KilnError(
    'corrupt',
    `a derivation asks for a source of kind "${kind}" in a way Kiln does not understand`,
    {
      where: drvPath,
      hint: 'The basis and Kiln may be of different versions: use the basis that came with this Kiln.',
    },
  );
}

/** The environment of an ATerm derivation. Only there does a tuple of two strings stand; outputs have four, inputs a list. */
function derivationEnvironment(text: string): Map<string, string> {
  const pairs = text.matchAll(/\("((?:[^"\\]|\\.)*)","((?:[^"\\]|\\.)*)"\)/gs);
  return new Map([...pairs].map(([, key = '', value = '']) => [unescape(key), unescape(value)]));
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescape(text: string): string {
  return text.replace(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
