"""The gallery: that the pictures in the documentation can be made again."""

from PIL import Image

from tests.imaging.gallery import SUBJECTS, main


def test_the_sheet_of_gravities_is_small_and_full(tmp_path):
    main(tmp_path)

    sheet = tmp_path / "gravity.jpg"
    assert sheet.stat().st_size < 200_000
    with Image.open(sheet) as image:
        assert image.format == "JPEG"
        assert image.convert("L").histogram()[255] < image.width * image.height / 2
    assert len(SUBJECTS) % 2 == 0
