// The data of a report. A page opened from disk may load nothing but scripts, so each script with data calls
// `cachestats.data` with one compressed text: a JSON value, or columns of numbers (`cachestats/report/scripts.py`).
"use strict";

const cachestats = (() => {
  let arrived = null; // what the script that has just run passed

  function data(packed) {
    arrived = packed;
  }

  function load(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = () => resolve(unpacked(arrived));
      script.onerror = () => reject(new Error(`cannot load ${address}`));
      document.head.append(script);
    });
  }

  async function unpacked(packed) {
    const text = atob(packed);
    const bytes = new Uint8Array(text.length);
    for (let place = 0; place < text.length; place += 1) bytes[place] = text.charCodeAt(place);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function decoded(bytes) {
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  async function json(address) {
    return decoded(await load(address));
  }

  // Return the head, and for each column a typed array in `columns`.
  async function columns(address) {
    const bytes = await load(address);
    const start = 4 + new DataView(bytes.buffer).getUint32(0, true);
    const head = decoded(bytes.subarray(4, start));
    let offset = start;
    for (const [name, { rows, width }] of Object.entries(head.columns)) {
      head.columns[name] = numbers(bytes.subarray(offset, offset + rows * width), rows, width);
      offset += rows * width;
    }
    return head;
  }

  // The lowest bytes of all numbers come first, then the next ones.
  function numbers(bytes, rows, width) {
    if (width === 1) return bytes;
    const Numbers = width === 0 ? Uint8Array : width === 2 ? Uint16Array : width < 5 ? Uint32Array : Float64Array;
    const found = new Numbers(rows);
    for (let place = 0, unit = 1; place < width; place += 1, unit *= 256) {
      const start = place * rows;
      for (let row = 0; row < rows; row += 1) found[row] += bytes[start + row] * unit;
    }
    return found;
  }

  return { data, json, columns };
})();
