// The line that the demo changes. Change it yourself, commit, build again: only this application's layer is new.
export const MESSAGE = 'Built from source. Proven to start.';
