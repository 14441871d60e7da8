/** The bands of src/, lowest first. The test holds the code to them; the page's graph is made from them. */

export interface Band {
  readonly name: string;
  /** Folder → the folders of the same band that it may import. Everything in lower bands is allowed. */
  readonly folders: Readonly<Record<string, readonly string[]>>;
}

export const BANDS: readonly Band[] = [
  { name: 'base', folders: { base: [] } },
  { name: 'formats', folders: { store: [], oci: ['store'] } },
  {
    name: 'adapters',
    folders: {
      process: [],
      config: [],
      nix: ['process'],
      git: ['process', 'config'],
      debian: ['process'],
      npm: [],
      runtime: ['process'],
      blobs: [],
      db: ['process'],
      http: [],
    },
  },
  {
    name: 'domain',
    folders: {
      setup: [],
      basis: ['setup'],
      source: ['basis', 'setup'],
      build: ['source'],
      image: [],
      catalog: [],
      cache: [],
    },
  },
  { name: 'pipeline', folders: { pipeline: [] } },
  { name: 'edges', folders: { registry: [], api: [] } },
  { name: 'programs', folders: { app: [], library: ['app'], cli: ['app', 'library'] } },
];

/** No input, no output, no clock. */
export const PURE_FOLDERS: readonly string[] = ['base', 'store', 'oci'];
