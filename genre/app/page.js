// End a recording before it is too large: Gradio drops one that is, without a word.
let ending;
document.addEventListener("click", (event) => {
	if (!event.target.closest?.("#record .record-button")) return;
	clearTimeout(ending);
	ending = setTimeout(() => {
		const buttons = document.querySelectorAll("#record .stop-button, #record .stop-button-paused");
		[...buttons].find((button) => button.offsetParent)?.click();
	}, 1000 * Number(document.querySelector("#recording").dataset.seconds));
});

