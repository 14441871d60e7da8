/** A source whose files are on this machine, before it is decided how it is built. */
import type { AppSettings } from '../config/app-settings.ts';
import type { CommitInfo } from './source.ts';
import type { SourceTree } from './tree/source-tree.ts';

export interface AcquiredSource {
  readonly type: 'tree';
  readonly tree: SourceTree;
  /** The source's folder inside the tree; `''` is the tree itself. */
  readonly base: string;
  /** The Nix file that was named, relative to the folder. */
  readonly file?: string;
  readonly asFlake?: boolean;
  readonly attr?: string;
  readonly template?: string;
  /** Variables for the image, and for what asks for them. */
  readonly environmentVars: Readonly<Record<string, string>>;
  readonly name: string;
  readonly commit?: CommitInfo;
  readonly branch?: string;
  /** Of a named file or flake, which no plan reads again. */
  readonly settings: AppSettings;
}

export interface RemoteFlake {
  readonly type: 'remote-flake';
  readonly reference: string;
  readonly attr?: string;
}
