/** How Nix is asked for the derivation. */
export type Installable =
  /** `nix-instantiate <file> [-A attr]`, with `<nixpkgs>` by the build's options. */
  | {
      readonly type: 'file';
      readonly file: string;
      readonly attr?: string;
      readonly args: Readonly<Record<string, string>>;
    }
  | { readonly type: 'flake'; readonly reference: string; readonly attr?: string };
