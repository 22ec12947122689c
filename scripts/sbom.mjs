#!/usr/bin/env node
// Writes dist/sbom.cdx.json (CycloneDX, by npm sbom): every package that ships with ours, whether npm installs it or it is inside
// dist/program. Fails on a licence that was not looked at. Says nothing of when, and of which mirror: the same lock file makes the
// same bytes.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

process.chdir(join(import.meta.dirname, '..'));
/** Licences that ask for their text and no more; it stands in dist/program/LICENCES, or beside what npm installs. */
const LICENCES = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  '(BSD-3-Clause OR GPL-2.0)',
]);

const { dependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
const bundled = readFileSync('dist/program/LICENCES', 'utf8').matchAll(/^(\S+) (\d\S*) \(.*\)$/gm);
const shipped = new Set([...bundled].map(([, name, version]) => `${name}@${version}`));

const bom = JSON.parse(
  execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application'], { maxBuffer: 2 ** 28 }),
);
// npm calls it after its folder
bom.metadata.component.name = 'pksigd';
const installed = new Set(Object.keys({ ...dependencies, ...optionalDependencies }));
bom.components = bom.components.filter(({ name, version }) => shipped.has(`${name}@${version}`) || installed.has(name));
const refs = new Set([bom.metadata.component, ...bom.components].map((component) => component['bom-ref']));
bom.dependencies = bom.dependencies
  .filter(({ ref }) => refs.has(ref))
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)) }));
delete bom.serialNumber;
delete bom.metadata.timestamp;
for (const component of [bom.metadata.component, ...bom.components]) {
  component.externalReferences = component.externalReferences?.filter(({ type }) => type !== 'distribution');
  // where npm has them here, and that what ships inside is a development dependency to it
  delete component.properties;
}

const expected = shipped.size + installed.size;
if (bom.components.length !== expected)
  throw new Error(`${bom.components.length} packages found, and ${expected} ship`);
for (const component of bom.components) {
  const licences = (component.licenses ?? []).map(
    ({ license, expression }) => expression ?? license.id ?? license.name,
  );
  const unknown = licences.find((licence) => !LICENCES.has(licence));
  if (licences.length !== 1 || unknown !== undefined)
    throw new Error(`${component.name}: look at its licence: ${licences.join(', ') || 'none is named'}`);
}
writeFileSync('dist/sbom.cdx.json', `${JSON.stringify(bom, undefined, 2)}\n`);
console.log(`${bom.components.length} packages ship, by licences that were looked at`);
