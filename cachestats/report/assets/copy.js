// Buttons of the class `copy`: a click copies what the button holds, and the button says so for a while.
"use strict";

(() => {
  async function copy(button) {
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "copied";
    } catch {
      // Where a page from disk may not write to the clipboard, people copy by hand.
      button.textContent = button.dataset.copy;
      return;
    }
    setTimeout(() => { button.textContent = words; }, 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });
})();
