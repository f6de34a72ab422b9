"use strict";
(() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  for (const figure of document.querySelectorAll("figure.swipe")) {
    const range = figure.querySelector("input[type=range]");
    const buttons = [...figure.querySelectorAll("button[data-mode]")];
    const cut = (percent) => {
      range.value = percent;
      figure.style.setProperty("--cut", range.value + "%");
    };
    range.addEventListener("input", () => cut(range.value));
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        for (const plate of figure.querySelectorAll(".mode")) plate.hidden = plate.dataset.mode !== button.dataset.mode;
      });
    }
    for (const ground of figure.querySelectorAll(".mode .ground")) {
      const follow = (event) => {
        const box = ground.getBoundingClientRect();
        cut((100 * (event.clientX - box.left)) / box.width);
      };
      ground.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        ground.setPointerCapture(event.pointerId);
        follow(event);
        event.preventDefault();
      });
      ground.addEventListener("pointermove", (event) => {
        if (ground.hasPointerCapture(event.pointerId)) follow(event);
      });
    }
  }

  for (const figure of document.querySelectorAll("figure.flip")) {
    const range = figure.querySelector("input[type=range]");
    if (!range) continue;
    const frames = [...figure.querySelectorAll(".frame")];
    const output = figure.querySelector("output");
    const play = figure.querySelector(".play");
    let timer = 0;
    const showFrame = (number) => {
      range.value = number;
      frames.forEach((frame, i) => { frame.hidden = i !== Number(range.value); });
      output.textContent = frames[Number(range.value)].dataset.name;
      range.setAttribute("aria-valuetext", output.textContent);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      play.setAttribute("aria-pressed", "false");
    };
    range.addEventListener("input", () => { stop(); showFrame(range.value); });
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      play.setAttribute("aria-pressed", "true");
      timer = setInterval(() => showFrame((Number(range.value) + 1) % frames.length), still.matches ? 1500 : 450);
    });
  }

  const links = new Map([...document.querySelectorAll("nav.jump a")].map((a) => [a.hash.slice(1), a]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const [id, link] of links) {
        if (id === entry.target.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of document.querySelectorAll("main > section")) watch.observe(section);
})();
