/** What a template is: it recognises a folder without a Nix file and writes the expression that builds it. */
import type { StorePath } from '../../base/brand.ts';
import type { AppSettings } from '../../config/app-settings.ts';
import type { ContainerHints } from '../recognise/container-hints.ts';
import type { SourceContext } from '../source-context.ts';
import type { TreeReader } from '../tree/tree-reader.ts';

export type TemplateName = 'node' | 'python' | 'go' | 'static-site';

export interface TemplateRequest {
  readonly tree: TreeReader;
  readonly settings: AppSettings;
  readonly hints: ContainerHints;
  /** Variables of the build's options and of `image.env`; a template hands those to the build that its tools read there. */
  readonly environmentVars: Readonly<Record<string, string>>;
  /** Name of the source, for applications that do not name themselves. */
  readonly fallbackName: string;
  readonly context: SourceContext;
}

export interface TemplatePlan {
  /** A function `{ pkgs ? import <nixpkgs> { }, src ? ./. }` to the derivation; `$out/bin` holds one program. */
  readonly expression: string;
  /** What the template knows about running the result; the application's own settings win. */
  readonly settings: AppSettings;
  readonly dependencies: readonly DependencySet[];
  /** What was assumed, one sentence each, for people. */
  readonly notes: readonly string[];
}

/** Downloaded dependencies: one fixed-output path, and what is in it. */
export interface DependencySet {
  /** Store name, e.g. `npm-dependencies`. */
  readonly name: string;
  readonly path: StorePath;
  /** SHA-256 of the NAR, in a form that `outputHash` takes. */
  readonly hash: string;
  readonly packages: readonly Dependency[];
}

export interface Dependency {
  readonly name: string;
  readonly version: string;
  /** `sha512-…`, `sha256:…` or `h1:…`: as the lock writes it, or computed where it has none. */
  readonly integrity: string;
  /** False where nothing but this download vouches for the integrity. */
  readonly locked: boolean;
  /** It is there as sources that the sandbox builds. */
  readonly source?: boolean;
}

export interface Template {
  readonly name: TemplateName;
  readonly title: string;
  readonly description: string;
  /** Why this folder is one of these, or undefined. */
  recognise(tree: TreeReader): Promise<string | undefined>;
  /** @throws KilnError source-unrecognised, dependency-fetch, invalid-input */
  plan(request: TemplateRequest): Promise<TemplatePlan>;
  /** A small application of this kind: path → content. */
  readonly starter: Readonly<Record<string, string>>;
}
