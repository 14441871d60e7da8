/** The pages that are made from the code, wholly or in part. */
import { renderReference } from '../../src/config/describe-settings.ts';
import { renderArchitecture } from './render-architecture.ts';
import { renderCliReference } from './render-cli.ts';

export interface GeneratedPage {
  /** Relative to the checkout. */
  readonly path: string;
  /** @param page as it is now; empty when it is not there */
  readonly render: (page: string) => string;
}

export const GENERATED_PAGES: readonly GeneratedPage[] = [
  { path: 'docs/cli.md', render: renderCliReference },
  { path: 'docs/kiln-toml.md', render: renderReference },
  { path: 'ARCHITECTURE.md', render: renderArchitecture },
];
