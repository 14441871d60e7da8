/** What somebody asks to be built (a spec, plain data that goes into the database), and what it resolved to. */
import type { AppSettings } from '../config/app-settings.ts';
import type { CommitInfo } from '../git/commit-info.ts';
import type { Installable } from '../nix/installable.ts';

export type { CommitInfo };

/** Credentials are never part of a spec: it is stored, shown and hashed. They travel beside it (see `SourceCredentials`). */
export type SourceSpec =
  | {
      readonly kind: 'expression';
      readonly expression: string;
      /** Extra files beside the expression: relative path → content. */
      readonly files?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'git';
      readonly url: string;
      /** Branch, tag or commit; the remote's HEAD by default. */
      readonly ref?: string;
      readonly subdirectory?: string;
      readonly submodules?: boolean;
      readonly shallow?: boolean;
      readonly depth?: number;
    }
  | { readonly kind: 'flake'; readonly reference: string }
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'template';
      readonly template: string;
      readonly customizations?: TemplateCustomizations;
    }
  /** A result that is in the store already; only its image is made. */
  | { readonly kind: 'store-path'; readonly path: string };

export interface TemplateCustomizations {
  readonly environmentVars?: Readonly<Record<string, string>>;
  /** Files that are added to the template's own, or replace them: relative path → content. */
  readonly files?: Readonly<Record<string, string>>;
  readonly [key: string]: unknown;
}

/** Options of a build that are not the source itself. */
export interface BuildOptions {
  /** Attribute path to build, e.g. `web` or `packages.x86_64-linux.default`. */
  readonly attr?: string;
  /** Environment variables for the image, and for the build where the expression asks for them. */
  readonly environmentVars?: Readonly<Record<string, string>>;
  /** What `<nixpkgs>` is: the user's own, the basis, or whichever can be reached (default). */
  readonly packages?: 'nixpkgs' | 'basis' | 'auto';
  /** Seconds, 1 to 3600; default 1800. */
  readonly buildTimeout?: number;
  /** Seconds without output after which the build ends; default 600. */
  readonly silenceTimeout?: number;
}

/** A source on this machine, ready for evaluation. Disposing removes its work folder. */
export interface Source extends AsyncDisposable {
  readonly kind: SourceSpec['kind'];
  /** The folder that the expression sees as `./.`. */
  readonly directory: string;
  /** The folder that holds all that evaluation reads: `directory`, and a generated expression. */
  readonly root: string;
  readonly installable: Installable;
  /** The expression itself, for `--explain`. */
  readonly expression?: string;
  /** SHA-256 (hex) over everything that evaluation can see: tree, expression, arguments, package set. Same key, same derivation. */
  readonly contentKey: string;
  readonly commit?: CommitInfo;
  readonly branch?: string;
  /** Which template built it, where there was no Nix file. */
  readonly template?: string;
  readonly settings: AppSettings;
}
