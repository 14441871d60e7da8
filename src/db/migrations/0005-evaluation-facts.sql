-- What the expression says of its result beside the derivation (nix/expression-facts.ts): the program, image settings.
-- Evaluations of before do not know it and are done again.
delete from evaluations;
alter table evaluations add column facts jsonb not null default '{}';
