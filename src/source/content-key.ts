/** The content key of a source: the same key means the same derivation. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../base/canonical-json.ts';

export interface ContentKeyParts {
  /** Tree hash, or the locked reference of a remote flake. */
  readonly tree: string;
  /** What is evaluated: a path inside the tree, the text of a generated expression, or a flake. */
  readonly entry: string;
  readonly attr: string | undefined;
  readonly args: Readonly<Record<string, string>>;
  /** Identity of what `<nixpkgs>` stands for. */
  readonly packageSet: string;
  /** `x86_64-linux` … */
  readonly system: string;
  /** Random where evaluation can see more than all of the above. */
  readonly salt?: string;
}

/** SHA-256, hex. */
export function contentKey(parts: ContentKeyParts): string {
  return createHash('sha256')
    .update(canonicalJson({ format: 'kiln-source/1', ...parts }))
    .digest('hex');
}
