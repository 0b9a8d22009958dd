// Custom resources in the files given, by their operators' own validators: wrong types, missing fields. Unknown fields pass here and
// are found by crd_fields.mjs.
import {readFileSync} from 'node:fs';
import {parseAllDocuments} from 'yaml';

const from = {
  'keda.sh/v1alpha1': '@kubernetes-models/keda/keda.sh/v1alpha1',
  'monitoring.coreos.com/v1': '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
};
let checked = 0;
for (const file of process.argv.slice(2)) {
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const object = document.toJS();
    if (!object || !from[object.apiVersion]) continue;
    const kinds = await import(from[object.apiVersion]);
    const Kind = kinds[object.kind] ?? kinds.default?.[object.kind];
    if (!Kind) throw new Error(`${object.apiVersion} has no kind ${object.kind}`);
    try {
      new Kind(object).validate();
    } catch (error) {
      console.error(`${file}: ${object.kind}/${object.metadata.name}: ${error.message}`);
      process.exitCode = 1;
    }
    checked += 1;
  }
}
console.log(`${checked} custom resources have the right types`);
