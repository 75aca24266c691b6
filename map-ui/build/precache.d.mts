export function phoneFiles(dist: string): Set<string>
