/** Preloaded into a server that is to run without some of its guards, which `CARDEA_TEST_GUARDS_OFF` names, divided by commas. */
import { join } from 'node:path';
import { type GuardName, guards, type Patch, removeGuards } from './guards.ts';

const names = (process.env['CARDEA_TEST_GUARDS_OFF'] ?? '').split(',') as GuardName[];
const patches = names.flatMap((name): readonly Patch[] => guards[name]);
const source = join(import.meta.dir, '../../src');

for (const file of new Set(patches.map((patch) => patch.file))) {
  Bun.plugin({
    name: `without guards: ${file}`,
    setup(build) {
      const path = join(source, file);
      build.onLoad({ filter: new RegExp(`^${RegExp.escape(path)}$`) }, async () => ({
        contents: removeGuards(
          path,
          await Bun.file(path).text(),
          patches.filter((patch) => patch.file === file),
        ),
        loader: 'ts',
      }));
    },
  });
}
