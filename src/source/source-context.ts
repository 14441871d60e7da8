/** What resolving a source needs from the rest of the machine. The pipeline makes one per build. */
import type { StorePath } from '../base/brand.ts';
import type { Secret } from '../base/secret.ts';
import type { BuildOptions, CommitInfo } from './source.ts';

/** Secrets for reaching a source; never stored with it. */
export interface SourceCredentials {
  readonly accessToken?: Secret;
  readonly sshKey?: Secret;
}

export interface GitAccess {
  /** The commit that `ref` (a branch, tag or commit; the remote's HEAD by default) names now. @throws KilnError git-* */
  resolveRef(
    url: string,
    options: {
      readonly ref?: string;
      readonly credentials: SourceCredentials;
      readonly signal?: AbortSignal;
    },
  ): Promise<{ readonly sha: string; readonly branch?: string }>;
  /** Checks `sha` out into `directory`, which does not exist yet. @throws KilnError git-* */
  checkOut(
    url: string,
    directory: string,
    options: {
      readonly sha: string;
      readonly ref?: string;
      readonly submodules?: boolean;
      readonly shallow?: boolean;
      readonly depth?: number;
      readonly credentials: SourceCredentials;
      readonly signal?: AbortSignal;
      readonly onProgress?: (line: string) => void;
    },
  ): Promise<CommitInfo>;
}

export interface NixAccess {
  /** `x86_64-linux`, `aarch64-linux`. */
  readonly system: string;
  /** What `<nixpkgs>` stands for, as text that changes with its content. */
  packageSetIdentity(choice: NonNullable<BuildOptions['packages']>): Promise<string>;
  /** Adds a folder as a fixed-output path named like the folder. `hash` is SHA-256 of its NAR, `sha256:` and nix32 or base 64. */
  addFixed(
    directory: string,
    signal?: AbortSignal,
  ): Promise<{ readonly path: StorePath; readonly hash: string }>;
  /** Locks a remote flake: a reference that names its content, e.g. with `narHash` or `rev`. @throws KilnError */
  lockFlake(reference: string, signal?: AbortSignal): Promise<string>;
  /** Makes a program of the package set available for fetching: a `bin` folder, or undefined where it has none. */
  programFolder(attribute: string, signal?: AbortSignal): Promise<string | undefined>;
}

export interface SourceContext {
  /** Folder for work folders and source trees; created where missing. */
  readonly workspace: string;
  /** Folder that keeps downloaded dependencies between builds; created where missing. */
  readonly depsCache: string;
  readonly git: GitAccess;
  readonly nix: NixAccess;
  readonly credentials?: SourceCredentials;
  readonly signal?: AbortSignal;
  /** One line for the build's log: what is being fetched, what was assumed. */
  readonly onProgress?: (line: string) => void;
  /** Folders and files of this machine may be built; false for requests from the network. */
  readonly allowLocal: boolean;
}
