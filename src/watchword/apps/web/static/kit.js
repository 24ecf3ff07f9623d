// Shows when an answer didn't arrive: without this a lost connection would look like a kept answer.
"use strict";
(function () {
  function lost(shown) {
    var notice = document.getElementById("lost");
    if (notice) { notice.hidden = !shown; }
  }
  document.addEventListener("htmx:sendError", function () { lost(true); });
  document.addEventListener("htmx:timeout", function () { lost(true); });
  document.addEventListener("htmx:afterOnLoad", function () { lost(false); });
})();
