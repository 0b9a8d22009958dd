// One TypeScript object literal per custom resource in the files given, on standard output: the compiler refuses fields that the type does
// not have, which validators let through.
import {readFileSync} from 'node:fs';
import {parseAllDocuments} from 'yaml';

const from = {
  'keda.sh/v1alpha1': '@kubernetes-models/keda/keda.sh/v1alpha1',
  'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
};
const imports = new Set();
let body = '';
let count = 0;
for (const file of process.argv.slice(2)) {
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const object = document.toJS();
    if (!object || !from[object.apiVersion]) continue;
    imports.add(`import type {I${object.kind}} from '${from[object.apiVersion]}';`);
    body += `export const r${count}: I${object.kind} = ${JSON.stringify(object, null, 1)};\n`;
    count += 1;
  }
}
if (count === 0) throw new Error('no custom resources');
console.log([...imports].join('\n') + '\n' + body);
